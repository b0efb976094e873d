"""Whole columns: their type from all of their cells, and every cell read by the rule for one."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.config.loading import parse_config
from ml.reading.columns import columns_of, converted, described, model_frame, told, type_of
from ml.reading.csv_dialect import Dialect
from ml.reading.tables import RawTable
from ml.values import LARGEST_NUMBER, MISSING_WORDS, TYPES, WRONG, Column

DECIMALS = pd.Series([Decimal("1.10"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2)))
WHOLE_DECIMALS = pd.Series([Decimal("1.00"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2)))
MOMENTS = pd.Series([datetime.date(2024, 1, 1)], dtype=pd.ArrowDtype(pa.date32()))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2", ""], "integer"),
        (["1.0", "2"], "number"),
        (["1", "02"], "category"),
        (["1", "+7"], "category"),
        (["1", "1e5"], "category"),
        (["0.001", "1e-05"], "number"),
        (["9007199254740993", "1"], "category"),
        (["true", "FALSE", "NA"], "boolean"),
        (["yes", "no"], "category"),
        (["2024-05-01", "2024-06-01T10:00:00Z"], "datetime"),
        (["18.07.2024"], "datetime"),
        (["2024-13-45"], "category"),
        (["", "NA", None], "category"),
        ([f"text {i}" for i in range(60)], "string"),
        (["x" * 1000, "y"], "category"),
        (["x" * 1001, "y"], "string"),
        ([1, 2], "integer"),
        ([1.0, math.nan], "integer"),
        ([1.5, math.nan], "number"),
        ([True, False], "boolean"),
        (pd.array([True, None], dtype="boolean"), "boolean"),
        (pd.array([1, None], dtype="Int64"), "integer"),
        (pd.array([None, None], dtype="Int64"), "integer"),
        ([2**53, -(2**53)], "integer"),
        ([2**53 + 1], "category"),
        ([-(2**53) - 1, 1], "category"),
        (np.array([2**63, 1], dtype="uint64"), "category"),
        (pd.to_timedelta(["1 days"]), "datetime"),
        (pd.to_datetime(["2024-01-01"]), "datetime"),
        (DECIMALS, "number"),
        (WHOLE_DECIMALS, "number"),
        (MOMENTS, "datetime"),
        (pd.Series(["a"], dtype=pd.ArrowDtype(pa.string())), "category"),
        (pd.Series([1, "a"], dtype=object), "category"),
        (pd.Series([True, None], dtype=object), "boolean"),
        (pd.Series([1, True, 0], dtype=object), "category"),
        (pd.Series([1, 2.5], dtype=object), "number"),
        (pd.Series([1, 2.0], dtype=object), "integer"),
        (pd.Series([datetime.date(2024, 1, 1), datetime.time(12), None], dtype=object), "datetime"),
    ],
)
def test_the_whole_column_says_what_it_is(values: Any, expected: str) -> None:
    assert type_of(pd.Series(values), MISSING_WORDS) == expected


def test_one_cell_at_the_end_of_a_long_column_counts_as_much_as_the_first() -> None:
    assert type_of(pd.Series([*map(str, range(1, 40)), *["1"] * 100_000, "007"]), MISSING_WORDS) == "category"


def test_more_rows_let_more_values_be_a_category() -> None:
    texts = [f"town {number}" for number in range(100)]

    assert type_of(pd.Series(texts * 2), MISSING_WORDS) == "string"
    assert type_of(pd.Series(texts * 20), MISSING_WORDS) == "category"


def test_a_word_that_stands_for_nothing_says_nothing_of_the_type() -> None:
    assert type_of(pd.Series(["1", "?", "2"]), frozenset({"?"})) == "integer"
    assert type_of(pd.Series(["1", "?", "2"]), MISSING_WORDS) == "category"


def test_decimal_commas_are_numbers_where_the_file_has_them() -> None:
    cells = pd.Series(["1,5", "-2", "3,25"])

    assert type_of(cells, MISSING_WORDS, commas=True) == "number"
    assert type_of(cells, MISSING_WORDS) == "category"
    assert type_of(pd.Series(["1,5", "1.5"]), MISSING_WORDS, commas=True) == "category"
    frame = pd.DataFrame({"a": cells})
    assert columns_of(frame, parse_config({}))["a"].type == "category"
    assert columns_of(frame, parse_config({}), commas=True)["a"].type == "number"
    assert converted(cells, Column("a", "number"))[1].tolist() == [True, False, True]


def test_the_contract_decides_before_the_cells_do() -> None:
    frame = pd.DataFrame({"zip": ["01234", "1234"], "n": ["7", "?"], "grade": ["A", "NA"]})
    config = parse_config(
        {
            "data": {"target": "grade", "drop": [], "missing": ["?"]},
            "schema": {
                "zip": {"type": "category"},
                "n": {"type": "number", "missing": ["-1"], "unit": "$", "thousands": "'"},
            },
        }
    )

    columns = columns_of(frame, config)

    assert {name: column.type for name, column in columns.items()} == {
        "zip": "category", "n": "number", "grade": "category",
    }  # fmt: skip
    assert columns["n"] == Column("n", "number", MISSING_WORDS | {"?", "-1"}, "$", "'")
    assert columns["grade"].missing == {"?"}, "a label may be called NA"
    assert converted(frame["zip"], columns["zip"])[0].tolist() == ["01234", "1234"]


def test_labels_of_the_target_are_words_also_where_they_are_truths() -> None:
    frame = pd.DataFrame({"y": ["true", "false"], "x": ["true", "false"]})

    columns = columns_of(frame, parse_config({"data": {"target": "y", "drop": []}}))

    assert {name: column.type for name, column in columns.items()} == {"y": "category", "x": "boolean"}


@pytest.mark.parametrize(
    ("values", "column"),
    [
        (["1", "", "2"], Column("a", "number")),
        (pd.array([1, None, 2], dtype="Int64"), Column("a", "integer")),
        ([1.0, math.nan, 2.0], Column("a", "number")),
        ([1.0, -999.0, 2.0], Column("a", "number", frozenset({"-999"}))),
    ],
)
def test_values_keep_the_name_and_the_index_of_their_column(values: Any, column: Column) -> None:
    read, wrong = converted(pd.Series(values, index=[7, 5, 6], name="a"), column)

    pd.testing.assert_series_equal(read, pd.Series([1.0, math.nan, 2.0], index=[7, 5, 6], name="a"))
    assert not wrong.any()


def test_a_number_may_be_as_great_as_the_greatest() -> None:
    values, wrong = converted(pd.Series([LARGEST_NUMBER, -LARGEST_NUMBER, LARGEST_NUMBER * 1.1]), Column("a", "number"))

    assert wrong.tolist() == [False, False, True]
    assert values.tolist()[:2] == [LARGEST_NUMBER, -LARGEST_NUMBER]


def test_what_is_not_of_its_type_is_named() -> None:
    values, wrong = converted(pd.Series(["1", "x", "", "2"]), Column("a", "number"))

    assert wrong.tolist() == [False, True, False, False]
    assert values.isna().tolist() == [False, True, True, False]
    assert values.dtype == "float64"


CELLS = st.one_of(
    st.none(), st.text(max_size=8), st.sampled_from(["NA", " 1", "1,5", "-999", "$5", "true", "01"]),
    st.floats().map(repr), st.integers().map(str),
)  # fmt: skip
COLUMNS = st.builds(
    Column, st.just("x"), st.sampled_from(TYPES), st.sampled_from([MISSING_WORDS, frozenset({"-999", "?"})]),
    st.sampled_from(["", "$"]), st.sampled_from(["", ","]),
)  # fmt: skip


def same(value: Any, expected: Any) -> bool:
    return value == expected or (value != value and (expected is None or expected is WRONG))


@settings(max_examples=200, deadline=None)
@given(st.lists(CELLS, max_size=12), COLUMNS, st.booleans())
def test_a_column_of_texts_is_read_as_its_cells_are(cells: list[Any], column: Column, commas: bool) -> None:
    found, wrong = converted(pd.Series(cells, dtype="str"), column, commas)

    expected = [column.read(cell, commas) for cell in cells]
    assert all(map(same, found.tolist(), expected))
    assert wrong.tolist() == [value is WRONG for value in expected]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.floats(), st.integers(-1000, 1000).map(float)), max_size=12), COLUMNS)
def test_a_column_of_numbers_is_read_as_its_cells_are(cells: list[float], column: Column) -> None:
    found, wrong = converted(pd.Series(cells, dtype="float64"), column)

    expected = [column.read(cell) for cell in cells]
    assert all(map(same, found.tolist(), expected))
    assert wrong.tolist() == [value is WRONG for value in expected]


def test_the_models_table_is_floats_and_objects() -> None:
    frame = model_frame({"a": ["1", None], "c": [2, True], "d": ["x", ""]}, [
        Column("a", "number"), Column("c", "category"), Column("d", "category"),
    ])  # fmt: skip

    assert frame["a"].dtype == "float64"
    assert frame["c"].tolist() == ["2", "true"]
    assert frame["d"].isna().tolist() == [False, True]
    assert frame["d"].dtype == object
    assert list(frame.columns) == ["a", "c", "d"]


def test_the_models_table_counts_its_rows_from_0() -> None:
    rows = pd.DataFrame({"a": [1.0, 2.0], "other": [0, 0]}, index=[7, 5])

    pd.testing.assert_frame_equal(model_frame(rows, [Column("a", "number")]), pd.DataFrame({"a": [1.0, 2.0]}))


def test_what_was_guessed_is_told() -> None:
    frame = pd.DataFrame({"a": ["1", "2"], "zip": ["01", "02"], "y": ["no", "yes"]})
    config = parse_config({"data": {"target": "y", "drop": []}, "schema": {"y": {"type": "category"}}})
    raw = RawTable(
        frame.assign(b=frame["a"]),
        Dialect(";"),
        ("column 4 has no name and is left out: name it in the header to use it",),
    )
    kept = described(columns_of(raw.frame, config), config, raw)

    assert told(kept) == ["guessed to be integer: 'a', 'b'", "guessed to be category: 'zip'", *raw.notes]
    assert kept.keys() == {"columns", "commas", "notes"}
    assert kept["commas"]
