"""What looks wrong in a column, with its counts and what to write; and what does not."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ml.inspection.doubts import Doubt, doubts_of, numbers_in_text
from ml.values import Column

EIGHT = [str(number) for number in range(8)]


def doubted(values: list[Any], kind: str, commas: bool = False) -> list[Doubt]:
    return doubts_of(pd.Series(values, name="x"), Column("x", kind), commas)


@pytest.mark.parametrize(
    ("values", "words", "rule"),
    [
        ([*EIGHT, "n/d"], "8 of 9 are numbers; row 9 is 'n/d'", 'type: number, missing: ["n/d"]'),
        (
            ["b", *EIGHT, *EIGHT, "a", "a"],
            "16 of 19 are numbers; 2 are 'a', 1 are 'b' (the first in row 1)",
            'type: number, missing: ["a", "b"]',
        ),
        (
            [*EIGHT, *EIGHT, "a", "b", "c", "d"],
            "16 of 20 are numbers; 1 are 'a', 1 are 'b', 1 are 'c' (the first in row 17), and 1 others: correct them",
            "",
        ),
        (
            [*EIGHT, "007"],
            "all 9 are written as numbers, and '007' not as one would write it, so they are codes; "
            "if they are quantities",
            "type: number",
        ),
        (["5 %", "7 %"], "all 2 look like numbers such as '5 %'", 'type: number, unit: "%"'),
        (["€7", "€8"], "all 2 look like numbers such as '€7'", 'type: number, unit: "€"'),
        (["1,000", "20"], "all 2 look like numbers such as '1,000'", 'type: number, thousands: ","'),
        (["$1,000", "$7"], "all 2 look like numbers such as '$1,000'", 'type: number, unit: "$", thousands: ","'),
        (
            ["a", "b", "Unknown", "c"],
            "'Unknown' stands 1 times (25.0%): if that means missing",
            'missing: ["Unknown"]',
        ),
    ],
)
def test_what_looks_wrong_in_a_text_is_told(values: list[Any], words: str, rule: str) -> None:
    assert doubted(values, "category") == doubted(values, "string") == [Doubt(words, rule)]


@pytest.mark.parametrize(
    "values", [["a", "b"], [*EIGHT[:7], "a", "b"], EIGHT, ["?", "-"], [None, None], ["$5", "7", "seven"]]
)
def test_an_ordinary_text_is_left_alone(values: list[Any]) -> None:
    assert doubted(values, "category") == []
    assert doubted([*EIGHT, "a"], "datetime") == []


def test_a_decimal_comma_is_one_where_the_file_has_them() -> None:
    assert doubted(["1,5 kg", "2,25 kg"], "category", commas=True)[0].rule == 'type: number, unit: "kg"'
    assert doubted(["1,5 kg", "2,25 kg"], "category") == []


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([-999, -999, 1, 2, 3.5], "-999 stands 2 times (40.0%), far from the others (1 to 3.5): if that means missing"),
        ([9999, 9999, 9999, 1, None, 2], "9999 stands 3 times (60.0%), far from the others (1 to 2): if that means"),
        ([-1, -1, 0, 50, 100], "-1 stands 2 times (40.0%), far from the others (0 to 100): if that means missing"),
        ([-999, 1, 2, 3.5], ""),
        ([-1, -1, -2, 1, 2], ""),
        ([98, 98, 1, 2], ""),
        ([99, 99, *range(99)], ""),
    ],
)
def test_a_number_that_stands_for_a_missing_one_is_far_from_all_others(values: list[Any], found: str) -> None:
    told = doubted([None if value is None else float(value) for value in values], "number")

    assert [doubt.words[: len(found)] for doubt in told] == ([found] if found else [])
    assert [doubt.rule for doubt in told] == ([f'missing: ["{found.split()[0]}"]'] if found else [])


@pytest.mark.parametrize(("rows", "step", "is_told"), [(50, 1, True), (49, 1, False), (50, 0.5, False)])
def test_fifty_whole_numbers_that_are_all_different_may_be_an_id(rows: int, step: float, is_told: bool) -> None:
    told = [doubt.words for doubt in doubted([row * step for row in range(rows)], "number")]

    assert told == (["every row has a whole number of its own: if it is an id, add it to data.drop"] * is_told)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([*EIGHT, "x"], "8 of 9 are numbers; row 9 is 'x'"),
        (["$1", "$2"], "all 2 look like numbers such as '$1'"),
        (["a", "?", "b"], ""),
        ([None], ""),
    ],
)
def test_what_keeps_a_text_from_being_numbers_is_told_and_nothing_of_other_texts(values: list[Any], words: str) -> None:
    assert numbers_in_text(pd.Series(values, name="x", dtype=object)) == words
