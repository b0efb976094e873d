"""Every violation of the data contract is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.config.loading import parse_config
from ml.config.schema import PipelineConfig
from ml.errors import ContractViolation
from ml.reading.contract import check, target_labels
from ml.values import Column

RULES = {
    "x": {"type": "number", "minimum": 0, "maximum": 100},
    "n": {"type": "integer", "unique": True},
    "c": {"type": "category", "allowed": ["a", "b", "c"]},
    "y": {"type": "integer", "allowed": [0, 1]},
}


def table(**columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"x": np.arange(30.0), "n": range(30), "c": ["a", "b", "c"] * 10, "y": [0, 1] * 15})
    return frame.assign(**columns)


def config(schema: dict[str, Any] | None = None, **data: Any) -> PipelineConfig:
    return parse_config({"data": {"target": "y", "drop": [], **data}, "schema": RULES if schema is None else schema})


def violation(frame: pd.DataFrame, settings: PipelineConfig | None = None) -> str:
    with pytest.raises(ContractViolation) as caught:
        check(frame, settings or config(), "file.csv")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_table_that_keeps_the_contract_passes() -> None:
    assert check(table(), config(), "file.csv").to_dict() == table().to_dict()


def test_every_violation_is_named_with_column_rule_count_and_rows() -> None:
    frame = table(x=[-1.0, 200.0, *range(28)], c=["z"] * 7 + ["a"] * 23).drop(columns="n")

    told = violation(frame)

    assert "column 'n' is missing" in told
    assert "column 'x' breaks the rule 'at least 0' 1 times: -1.0 (row 1)" in told
    assert "column 'x' breaks the rule 'at most 100' 1 times: 200.0 (row 2)" in told
    assert "column 'c' breaks the rule 'one of a, b, c' 7 times: z (row 1, 2, 3, 4, 5, ...)" in told


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"x": ["?", *range(29)]}, "column 'x' breaks the rule 'type number' 1 times: '?' (row 1)"),
        ({"x": [*"?!?-", "x" * 50, *range(25)]}, "5 times: '?', '!', '-' (row 1, 2, 3, 4, 5)."),
        ({"x": ["x" * 50, *range(29)]}, f"1 times: '{'x' * 40}' (row 1)"),
        ({"c": [*"pqqrs", *"a" * 25]}, "'one of a, b, c' 5 times: p, q, r (row 1, 2, 3, 4, 5)."),
        ({"x": [np.inf, *range(29)]}, "breaks the rule 'type number' 1 times: 'inf'"),
        ({"x": [None, *range(29)]}, "breaks the rule 'no missing value' 1 times (row 1)"),
        ({"x": pd.date_range("2020", periods=30)}, "breaks the rule 'type number' 30 times"),
        ({"n": [0.5, *range(29)]}, "breaks the rule 'type integer' 1 times: '0.5'"),
        ({"n": [5] * 30}, "breaks the rule 'no value twice'"),
        ({"y": [0, 1] * 14 + [0, None]}, "the target 'y' has 1 missing values (row 30)"),
        ({"y": [1] * 30}, "the target 'y' has 1 different values (1), not two"),
        ({"y": [0, 1, 2] * 10}, "file.csv: the target 'y' has 3 different values (0, 1, 2), not two. Correct"),
        ({"y": [1] + [0] * 29}, "one class of the target 'y' has 1 row"),
        ({"y": [None] * 30}, "the target 'y' has 0 different values (none), not two"),
    ],
)
def test_a_violation_is_told(columns: dict[str, Any], told: str) -> None:
    assert told in violation(table(**columns))


def test_violations_are_told_in_the_order_of_the_rules() -> None:
    told = violation(table(c=["z"] * 30, n=[1] * 30, x=[-1.0] * 30))

    assert told.index("column 'x'") < told.index("column 'n'") < told.index("column 'c'")


def test_a_missing_target_names_the_columns_there_are() -> None:
    assert "the target column 'y' is missing (the columns are 'x', 'n', 'c')" in violation(table().drop(columns="y"))


def test_too_few_rows_are_told() -> None:
    assert "file.csv: 19 rows where training needs at least 20" in violation(table().head(19))
    assert len(check(table().head(20), config(), "file.csv")) == 20


def test_of_many_violations_the_first_twenty_are_told_and_the_others_counted() -> None:
    rules = {f"column {number}": {"type": "number"} for number in range(23)}

    assert violation(table(), config(rules)).count("; ") == 20
    assert "column 'column 19' is missing; and 3 more. Correct the file" in violation(table(), config(rules))
    del rules["column 22"], rules["column 21"], rules["column 20"]
    assert "column 'column 19' is missing. Correct the file" in violation(table(), config(rules))


def test_columns_that_have_no_rule_pass_and_the_index_stays() -> None:
    frame = table(other=["x"] * 30).set_axis(range(100, 130))

    assert list(check(frame, config(), "file.csv").index) == list(range(100, 130))


def test_a_decimal_comma_is_one_where_the_file_has_them() -> None:
    frame = table(x=[f"{number},5" for number in range(30)])

    assert "breaks the rule 'type number' 30 times: '0,5'" in violation(frame)
    assert check(frame, config(), "file.csv", commas=True)["x"].tolist() == [number + 0.5 for number in range(30)]
    guessed = check(frame, config(schema={}), "file.csv", commas=True)
    assert guessed["x"].dtype == "float64"


def test_columns_are_read_as_they_were_before() -> None:
    frame = table(x=["1"] * 30)
    before = {name: Column(name, "category" if name == "x" else "integer") for name in ("x", "y")}

    assert check(frame, config(schema={}), "file.csv", before)["x"].tolist() == ["1"] * 30


def test_dates_are_checked_and_stay_as_they_stand() -> None:
    rules = {"d": {"type": "datetime", "nullable": True}, "x": RULES["x"]}
    days = ["2024-05-01", None, "18.07.2024", "2024-06-01T10:00:00Z"]

    assert check(table(d=days + days[:1] * 26), config(rules), "file.csv")["d"].tolist()[2:4] == days[2:]
    told = violation(table(d=["soon", "2024-13-45", *days, *days[:1] * 24], x=[-1.0] * 30), config(rules))
    assert "column 'd' breaks the rule 'type datetime' 2 times: 'soon', '2024-13-45' (row 1, 2)" in told
    assert "column 'x' breaks the rule 'at least 0' 30 times" in told


def test_a_list_of_numbers_allows_the_texts_that_they_are() -> None:
    rules = {"c": {"type": "category", "allowed": [1, 2]}}

    assert check(table(c=["1", "2"] * 15), config(rules), "file.csv")["c"].tolist()[:2] == ["1", "2"]
    assert "breaks the rule 'one of 1, 2' 1 times: 3 (row 1)" in violation(table(c=["3"] + ["1"] * 29), config(rules))


def test_without_a_contract_the_target_and_infinite_numbers_are_checked_all_the_same() -> None:
    told = violation(table(x=[np.inf, *range(29)], y=[1] * 30), config(schema={}))

    assert "column 'x' breaks the rule 'type number' 1 times: 'inf' (row 1)" in told
    assert "the target 'y' has 1 different values" in told


def test_a_listed_feature_must_be_there_and_may_not_be_the_target() -> None:
    told = violation(table(), config(schema={}, features=["x", "q", "y"]))

    assert "the feature 'q' is missing" in told
    assert "'x'" not in told
    assert violation(table(), config(schema={"q": {"type": "number"}}, features=["q"])).count("is missing") == 1
    assert "the target 'y' is listed as a feature" in told


def test_a_positive_label_that_no_row_has_is_told() -> None:
    assert "no row has the positive label 'maybe'" in violation(table(), config(positive="maybe"))
    two = check(table(y=[1, 1] + [0] * 28), config(positive="1"), "file.csv")
    assert two["y"].sum() == 2


def test_numbers_written_as_text_and_truth_values_become_numbers() -> None:
    rules = {"x": {"type": "number"}, "f": {"type": "boolean", "nullable": True}, "g": {"type": "boolean"}}
    frame = table(x=[str(i) for i in range(30)], f=["True", None, "false"] * 10, g=[True, False] * 15)

    checked = check(frame, config(schema=rules), "file.csv")

    assert checked["x"].tolist() == list(range(30))
    assert checked["f"].dropna().tolist() == [1.0, 0.0] * 10
    assert checked["g"].dtype == "int64"


def test_the_table_that_was_given_is_left_as_it_was() -> None:
    frame = table(x=[str(i) for i in range(30)])
    before = frame.copy()

    check(frame, config(), "file.csv")

    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("labels", "positive", "expected"),
    [
        ([0, 1], None, (0, 1)),
        ([0, 1], 0, (1, 0)),
        ([True, False], None, (False, True)),
        ([0, 1], True, (0, 1)),
        (["yes", "no"], None, ("no", "yes")),
        (["yes", "no"], "no", ("yes", "no")),
        (["A", "b"], None, ("A", "b")),
        ([1, 2], "1", (2, 1)),
        ([5, 10], None, (5, 10)),
        (["ja", "nein"], None, ("nein", "ja")),
        (["genuine", "fraud"], None, ("genuine", "fraud")),
        (["not churned", "stays"], None, ("not churned", "stays")),
        (["B", "B", "A"], None, ("B", "A")),
    ],
)
def test_the_positive_label_is_the_one_asked_for_or_the_affirmed_or_greater_or_rarer(
    labels: list[Any], positive: Any, expected: tuple[Any, Any]
) -> None:
    assert target_labels(pd.DataFrame({"y": labels * 2}), config(positive=positive)) == expected
