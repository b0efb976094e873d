"""Which of two labels counts as 1, and when two labels are one."""

from __future__ import annotations

from typing import Any

import pytest

from ml.reading.labels import order, positive_of, same


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"churn": 5, "stayed": 1}, "churn"),
        ({" YES ": 9, "perhaps": 1}, " YES "),
        ({"no churn": 1, "churning": 9}, "churning"),
        ({"Not sick": 1, "ill": 9}, "ill"),
        ({"Healthy ": 1, "patient": 9}, "patient"),
        ({"not a": 3, "not b": 9}, "not a"),
        ({"yes": 3, "true": 9}, "yes"),
        ({0: 9, 1: 1}, 1),
        ({10: 9, 5: 1}, 10),
        ({5: 9, "x": 1}, "x"),
        ({"a": 3, "b": 2}, "b"),
        ({"b": 2, "a": 2}, "b"),
    ],
)
def test_what_affirms_or_is_not_denied_or_greater_or_rarer_counts_as_1(counts: dict[Any, int], expected: Any) -> None:
    assert positive_of(counts) == expected


@pytest.mark.parametrize(
    ("label", "wanted", "expected"),
    [(1, "1", True), ("1", 1, True), (1.0, True, True), (True, "true", True), ("1", 1.0, True), ("yes", "no", False)],
)
def test_a_label_is_the_wanted_one_however_each_is_written(label: Any, wanted: Any, expected: bool) -> None:
    assert same(label, wanted) is expected


def test_numbers_come_before_texts_and_capitals_say_nothing() -> None:
    assert sorted(["b", 10, "A", 2], key=order) == [2, 10, "A", "b"]
