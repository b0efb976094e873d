"""What `trackyard init` makes of a table."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from ml.config.loading import parse_config
from ml.config.schema import PipelineConfig
from ml.errors import BadInput
from ml.inspection.inspect import Inspection, inspect_table
from ml.inspection.pipeline_template import pipeline_yaml
from ml.reading.contract import check
from ml.reading.tables import RawTable


def _customers(rows: int = 60) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Customer ID": range(1, rows + 1),
            "age": [20.5 + row % 40 for row in range(rows)],
            "balance": [-5 + row % 7 for row in range(rows)],
            "visits": [float(row % 5) if row % 6 else None for row in range(rows)],
            "plan": ["basic" if row % 3 else "gold" for row in range(rows)],
            "comment": [f"free text {row}" for row in range(rows)],
            "since": [f"2024-01-{1 + row % 28:02d}" for row in range(rows)],
            "is_new": [bool(row % 2) for row in range(rows)],
            "country": ["CH"] * rows,
            "churned: yes?": ["yes" if row % 2 else "no" for row in range(rows)],
        }
    )


def _inspected() -> Inspection:
    return inspect_table(RawTable(_customers()), "churned: yes?", "customers.csv")


def _config() -> PipelineConfig:
    return parse_config(yaml.safe_load(pipeline_yaml(_inspected(), "customers")))


def test_types_are_read_from_the_values() -> None:
    contract = _config().contract

    assert {name: rule.type for name, rule in contract.items()} == {
        "Customer ID": "integer",
        "age": "number",
        "balance": "integer",
        "visits": "integer",
        "plan": "category",
        "comment": "string",
        "since": "datetime",
        "is_new": "boolean",
        "country": "category",
        "churned: yes?": "category",
    }


def test_ranges_and_gaps_are_read_from_the_values() -> None:
    contract = _config().contract

    assert contract["age"].minimum == 0
    assert contract["balance"].minimum is None
    assert [name for name, rule in contract.items() if rule.nullable] == ["visits"]


def test_what_a_model_cannot_learn_from_is_dropped_and_said_why() -> None:
    reasons = {column.name: column.drop_because for column in _inspected().columns if column.drop_because}

    assert set(_config().data.drop) == set(reasons) == {
        "Customer ID", "comment", "since", "country", "is_new",
    }  # fmt: skip


def test_the_positive_label_is_the_one_that_says_yes() -> None:
    config = _config()

    assert (config.data.target, config.data.positive) == ("churned: yes?", "yes")


def test_the_data_keeps_the_contract_that_was_read_from_it() -> None:
    check(_customers(), _config(), "customers.csv")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a"] * 60, "1 values"),
        (["a", "b", "c"] * 20, r"3 values \(a, b, c\)"),
        (["a", None] * 30, "missing in 30 rows"),
    ],
)
def test_a_target_that_is_not_binary_is_refused(values: list[object], message: str) -> None:
    frame = _customers().assign(target=values)

    with pytest.raises(BadInput, match=message):
        inspect_table(RawTable(frame), "target", "customers.csv")


def test_a_target_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BadInput, match="did you mean 'plan'"):
        inspect_table(RawTable(_customers()), "plans", "customers.csv")


def test_labels_that_are_numbers_or_truths_stay_so() -> None:
    for values, positive in (([0, 1] * 30, 1), ([False, True] * 30, "true"), ([1, 2] * 30, 1)):
        frame = _customers().assign(target=values)
        config = parse_config(yaml.safe_load(pipeline_yaml(inspect_table(RawTable(frame), "target", "x"), "x")))
        assert config.data.positive == positive
        check(frame, config, "x")
