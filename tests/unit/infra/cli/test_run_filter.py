"""Which runs a list shows, and in what order."""

from __future__ import annotations

from typing import Any

import pytest

from infra.cli.commands.runs import chosen
from infra.cli.run_filter import Condition, check_names, parse_condition
from ml.errors import BadInput

FACTS: dict[str, Any] = {
    "test_roc_auc": 0.93,
    "split.test_size": "0.3",
    "state": "success",
    "note": "The Best",
    "x": None,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("test_roc_auc>0.9", True), ("test_roc_auc > 0.93", False), ("test_roc_auc>=0.93", True),
        ("test_roc_auc<1e0", True), ("split.test_size=0.30", True), ("split.test_size!=0.3", False),
        ("state=success", True), ("state!=failed", True), ("note~best", True), ("note~worst", False),
        ("missing=1", False), ("missing!=1", True), ("x=1", False), ("state>r", True),
    ],
)  # fmt: skip
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    assert parse_condition(text).holds(FACTS) is holds


@pytest.mark.parametrize("text", ["", "nothing", ">3", "=", "a"])
def test_what_is_no_condition_is_told(text: str) -> None:
    with pytest.raises(BadInput, match="NAME SIGN VALUE"):
        parse_condition(text)


def test_a_name_that_no_run_has_is_told_with_the_nearest() -> None:
    check_names(["state"], [FACTS])
    check_names(["anything"], [])
    with pytest.raises(BadInput, match=r"did you mean test_roc_auc\?"):
        check_names(["test_roc_acu"], [FACTS])


def test_runs_are_chosen_and_sorted_and_those_without_a_value_come_last() -> None:
    rows = [{"id": number} for number in range(4)]
    facts = [{"f1": 0.5, "model": "a"}, {"f1": 0.9, "model": "a"}, {"model": "a"}, {"f1": 0.7, "model": "b"}]
    only_a = [Condition("model", "=", "a")]

    assert [row["id"] for row in chosen(rows, facts, [], ("f1", False))] == [1, 3, 0, 2]
    assert [row["id"] for row in chosen(rows, facts, [], ("f1", True))] == [0, 3, 1, 2]
    assert [row["id"] for row in chosen(rows, facts, only_a, (None, False))] == [0, 1, 2]
