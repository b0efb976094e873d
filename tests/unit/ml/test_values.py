"""One value, however a file or a request holds it."""

from __future__ import annotations

import datetime
import math
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.values import MISSING_WORDS, WRONG, Column, is_own_spelling, missing_words

NUMBER, TRUTH, CATEGORY = (Column("x", kind) for kind in ("number", "boolean", "category"))


@pytest.mark.parametrize("column", [NUMBER, TRUTH, CATEGORY])
@pytest.mark.parametrize(
    "value", [None, "", "  ", "NA", " NA ", "null", "NaN", math.nan, np.nan, pd.NA, pd.NaT], ids=repr
)
def test_what_is_missing_is_missing_in_every_column(column: Column, value: Any) -> None:
    assert column.read(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.5", 1.5),
        (" +1.5e3 ", 1500.0),
        ("007", 7.0),
        (".5", 0.5),
        (3, 3.0),
        (np.int64(3), 3.0),
        (np.float32(0.5), 0.5),
        (Decimal("1.10"), 1.1),
        ("1,5", WRONG),
        ("1_000", WRONG),
        ("inf", WRONG),
        (math.inf, WRONG),
        (1e101, WRONG),
        (10**400, WRONG),
        (True, WRONG),
        (np.True_, WRONG),
        ("true", WRONG),
        ([], WRONG),
        ({}, WRONG),
        ("\u0663", WRONG),
    ],
)
def test_a_number(value: Any, expected: Any) -> None:
    assert NUMBER.read(value) == expected


def test_a_decimal_comma_is_one_where_the_file_has_them() -> None:
    assert [NUMBER.read(text, commas=True) for text in ("1,5", "-0,25", "12", "1.5")] == [1.5, -0.25, 12.0, 1.5]
    assert NUMBER.read("1,234,5", commas=True) is WRONG


@pytest.mark.parametrize(
    ("text", "unit", "thousands", "commas", "expected"),
    [
        ("$52,011.07", "$", ",", False, 52011.07),
        ("-$1,000", "$", ",", False, -1000.0),
        ("$-5", "$", "", False, -5.0),
        ("12.7%", "%", "", False, 12.7),
        ("12,7 %", "%", "", True, 12.7),
        ("52.011,07", "", ".", True, 52011.07),
        ("2,984", "", ",", False, 2984.0),
        ("29,84", "", ",", False, WRONG),
        ("1'234.5", "", "'", False, 1234.5),
    ],
)
def test_units_and_thousands_are_taken_away_where_the_contract_names_them(
    text: str, unit: str, thousands: str, commas: bool, expected: Any
) -> None:
    assert Column("x", "number", unit=unit, thousands=thousands).read(text, commas) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1.0), ("false", 0.0), ("TRUE", 1.0), (" True ", 1.0), (1, 1.0), (0.0, 0.0), ("0", 0.0), (2, WRONG),
        ("yes", WRONG),
    ],
)  # fmt: skip
def test_a_truth(value: Any, expected: Any) -> None:
    assert TRUTH.read(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("01067", "01067"),
        (" b ", "b"),
        ("3.0", "3.0"),
        (3, "3"),
        (3.0, "3"),
        (3.5, "3.5"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (True, "true"),
        ("True", "true"),
        (np.False_, "false"),
        (Decimal("1.10"), "1.10"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (pd.Timestamp("2024-05-01 10:00"), "2024-05-01T10:00:00"),
        (pd.Timedelta(hours=1), "1:00:00"),
        (b"x", WRONG),
        ([1], WRONG),
        ("x" * 1001, WRONG),
        ("\ud800", WRONG),
    ],
)
def test_a_category_is_its_text(value: Any, expected: Any) -> None:
    assert CATEGORY.read(value) == expected


def test_listed_words_join_the_usual_ones_and_an_empty_list_takes_them_away() -> None:
    assert missing_words(None, None) == MISSING_WORDS
    assert missing_words(("?", " - ")) == MISSING_WORDS | {"?", "-"}
    assert missing_words(("?",), ("-999",)) == MISSING_WORDS | {"?", "-999"}
    assert missing_words((), None) == frozenset()
    assert missing_words((), ("?",)) == {"?"}
    assert Column("x", "category", missing_words(())).read("NA") == "NA"
    assert Column("x", "category", missing_words(())).read("") is None


@pytest.mark.parametrize("value", ["-999", "-999.0", -999, -999.0, Decimal("-999.00"), np.int64(-999)])
def test_a_number_that_stands_for_nothing_is_missing_however_it_is_written(value: Any) -> None:
    assert Column("x", "number", missing_words(("-999",))).read(value) is None


@pytest.mark.parametrize(
    ("text", "is_own"),
    [
        ("0", True), ("-12", True), ("12.50", True), ("1e-05", True), ("1e+16", True), ("9007199254740992", True),
        ("01", False), ("00.5", False), ("+7", False), ("1e5", False), ("1E-05", False), (".5", False), ("5.", False),
        ("9007199254740993", False), ("1,5", False), ("", False), ("0x10", False), ("1_0", False), ("\u0661", False),
    ],
)  # fmt: skip
def test_a_numbers_own_spelling(text: str, is_own: bool) -> None:
    assert is_own_spelling(text) is is_own


@pytest.mark.parametrize(
    "column",
    [NUMBER, Column("x", "category", missing_words(("?",))), Column("x", "number", unit="$", thousands=",")],
)
def test_how_a_column_is_read_survives_being_written_down(column: Column) -> None:
    assert Column.of("x", column.as_dict()) == column


@pytest.mark.parametrize("told", [{}, {"type": "list"}, {"type": "number", "missing": "?"}])
def test_a_description_that_is_none_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'x' is described as"):
        Column.of("x", told)


@pytest.mark.parametrize("kind", ["category", "string", "datetime", "number", "boolean"])
def test_many_values_are_read_as_each_of_them_is(kind: str) -> None:
    texts = [" a ", "", "NA", "True", "é", "\ud800", "x" * 1001, "?", "1", "\x1fb", "2020-01-01"]
    values = [*texts, None, math.nan, 1, 2.5, True, b"x", datetime.date(2020, 1, 1)]
    column = Column("x", kind, missing_words(["?"]))

    assert repr(column.read_all(values)) == repr([column.read(value) for value in values])
