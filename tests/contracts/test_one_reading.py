"""Every row of a training file gets the Pipeline's own probability, whichever way it comes back."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import datasets

from ml.config.loading import parse_config
from ml.config.schema import PipelineConfig
from ml.config.yaml_text import read_yaml
from ml.inspection.inspect import inspect_table
from ml.inspection.pipeline_template import pipeline_yaml
from ml.reading.tables import read_table
from tests.one_reading import Trained

POOLS: dict[str, list[str]] = {
    "whole numbers": [str(number) for number in range(-3, 40)],
    "fractions": ["0.5", "1.25", "-3.125", "7", "1e-05", "12.50"],
    "gaps": ["1.5", "2", "", "NA", "  "],
    "codes": ["01067", "1.10", "true", "7", "07", "007", "False"],
    "spellings": ["1e5", "2", "+7", "100000"],
    "truths": ["true", "false", "TRUE", ""],
    "pandas' truths": ["True", "False"],
    "words": ["a", " a", "b ", "", "NA", "None", "?", "Unknown"],
    "long numbers": ["23843794710950999", "23843794710950124", "9007199254740993", ""],
    "unsigned": ["12345678901234567890", "1311768467463790320"],
    "quoted": ["x,y", 'say "hi"', "two\nlines", "c\rr", "semi;colon", "tab\tbed"],
    "letters": ["Zürich", "Genève", "東京", "🙂", "ß"],
    "days": ["2024-05-01", "2024-06-30", ""],
    "money": ["$1,000.50", "$7.00"],
    "sentinels": ["-999", "12", "15.5", "?"],
    "constant": ["1"],
    "nothing": ["", "NA"],
}
NAMES = ["price ($)", " spend ", "probability", "a\nb", 'it\'s "x"', "ünï", "$^$", "id", "visits/day", "x", "y", "z"]


def table_of(seed: int, kinds: list[str], texts: list[str], rows: int) -> tuple[list[str], list[list[str]]]:
    """A header and rows: a column of each kind, one of arbitrary texts, and the target."""
    rng = np.random.default_rng(seed)
    columns = [rng.choice(np.array(POOLS[kind], dtype=object), rows) for kind in kinds]
    if texts:
        columns.append(rng.choice(np.array(texts, dtype=object), rows))
    names = [f"{NAMES[at % len(NAMES)]}{at}" for at in range(len(columns))]
    target = rng.permutation(np.array(["no", "yes"] * (rows // 2), dtype=object))
    return [*names, "bought"], [list(row) for row in zip(*columns, target, strict=True)]


def csv_of(header: list[str], rows: list[list[str]], delimiter: str) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([header, *rows])
    return written.getvalue().encode()


def config_of(schema: dict[str, Any] | None = None, **data: Any) -> PipelineConfig:
    return parse_config({"data": {"target": "bought", "drop": [], **data}, "schema": schema or {}})


TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12), min_size=2, max_size=5
)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1),
    kinds=st.lists(st.sampled_from(sorted(POOLS)), min_size=1, max_size=6),
    texts=TEXTS,
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    as_types=st.booleans(),
    missing=st.sampled_from([None, ["?", "-999"], []]),
)
def test_every_row_of_a_csv_file_comes_back_by_every_way(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    kinds: list[str],
    texts: list[str],
    delimiter: str,
    as_types: bool,
    missing: list[str] | None,
) -> None:
    header, rows = table_of(seed, ["whole numbers", *kinds], texts, 40)
    schema = {name: {"type": "category", "nullable": True} for name in header[1:-1]} if as_types else {}
    schema |= {header[0]: {"type": "number", "nullable": True}, "bought": {"type": "category"}} if as_types else {}

    trained = Trained.on(csv_of(header, rows, delimiter), config_of(schema, missing=missing))

    trained.hold(tmp_path_factory.mktemp("file"))


TYPED: dict[str, list[Any]] = {
    "ints": [1, 2, -5], "nullable ints": [1, None, 3], "big": [2**63, 2**63 + 1025, 7], "floats": [0.5, None, -1e-9],
    "truths": [True, False], "nullable truths": [True, None, False], "texts": ["a", "NA", None, " b "],
    "decimals": [Decimal("1.10"), Decimal("2.00"), None], "codes": ["01", "1", "1.0"],
    "moments": [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-02-01 10:00:00.5")],
    "long": [23843794710950999, 23843794710950124, None],
}  # fmt: skip


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1),
    kinds=st.lists(st.sampled_from(sorted(TYPED)), min_size=1, max_size=6),
    as_categories=st.booleans(),
)
def test_every_row_of_a_parquet_file_comes_back_by_every_way(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kinds: list[str], as_categories: bool
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    picked = {f"{NAMES[at]}{at}": [TYPED[kind][each] for each in rng.integers(0, len(TYPED[kind]), 40)]
              for at, kind in enumerate(["ints", *kinds])}  # fmt: skip
    target = rng.permutation([False, True] * 20).tolist()
    buffer = io.BytesIO()
    columns = {
        name: pa.array(cells, pa.uint64() if 2**63 in TYPED[kind] else None)
        for (name, cells), kind in zip(picked.items(), ["ints", *kinds], strict=True)
    }
    pq.write_table(pa.table({**columns, "bought": target}), buffer)
    schema: dict[str, Any] = {name: {"type": "category", "nullable": True} for name in picked} if as_categories else {}
    schema |= {"bought": {"type": "boolean"}} if as_categories else {}

    trained = Trained.on(buffer.getvalue(), config_of(schema))

    trained.hold(tmp_path_factory.mktemp("file"))


@pytest.mark.parametrize("name", ["iris", "breast_cancer", "wine", "diabetes"])
@pytest.mark.parametrize("form", ["csv", "decimal commas", "parquet"])
def test_real_data_comes_back_by_every_way(name: str, form: str, tmp_path: Path) -> None:
    loaded = getattr(datasets, f"load_{name}")(as_frame=True)
    middle = loaded.target.median() if name == "diabetes" else 0
    frame = loaded.data.assign(bought=np.where(loaded.target > middle, "yes", "no"))
    buffer = io.BytesIO()
    if form == "parquet":
        frame.to_parquet(buffer)
    else:
        comma = form == "decimal commas"
        frame.to_csv(buffer, index=False, sep=";" if comma else ",", decimal="," if comma else ".")

    trained = Trained.on(buffer.getvalue(), config_of())

    assert len(trained.roles.features) > 1
    trained.hold(tmp_path)


def test_what_the_configuration_says_of_a_column_holds_for_requests(tmp_path: Path) -> None:
    rows = [[f"${1000 + at:,}.50", "12 %" if at % 3 else "?", "NA" if at % 2 else "b", "yes" if at % 5 < 2 else "no"]
            for at in range(60)]  # fmt: skip
    schema = {
        "pay": {"type": "number", "unit": "$", "thousands": ","},
        "share": {"type": "number", "unit": "%", "missing": ["?"], "nullable": True},
        "country": {"type": "category", "missing": []},
        "bought": {"type": "category"},
    }

    trained = Trained.on(csv_of(["pay", "share", "country", "bought"], rows, ","), config_of(schema))

    assert trained.predictor.categories == {"country": {"NA", "b"}}
    trained.hold(tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("seed", range(4))
def test_the_file_that_init_writes_gives_the_model_that_a_run_without_one_gives(seed: int, delimiter: str) -> None:
    header, rows = table_of(seed, [*POOLS, "codes", "words"], ["a", "b", "1,5"], 80)
    # A row number, a text that each row has of its own, and the target in disguise are left out by both.
    more = [[*row[:-1], str(at), f"note {at}", "x" if row[-1] == "yes" else "", row[-1]] for at, row in enumerate(rows)]
    content = csv_of([*header[:-1], "row", "note", "paid", "bought"], more, delimiter)
    raw = read_table(content, "data.csv", 10**6, 1000)
    written = pipeline_yaml(inspect_table(raw, "bought", "data.csv"), "m")

    by_init = Trained.on(content, parse_config(read_yaml(written)))
    by_none = Trained.on(content, config_of())

    assert by_init.roles.features == by_none.roles.features
    assert not {"row", "note", "paid"} & set(by_none.roles.features)
    assert (by_init.roles.negative, by_init.roles.positive) == (by_none.roles.negative, by_none.roles.positive)
    assert (by_init.expected == by_none.expected).all()
