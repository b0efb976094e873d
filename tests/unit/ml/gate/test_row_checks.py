"""Parts of the held-out rows, at the edges of what decides about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.config.promotion import BehaviourRule, GateConfig, SliceRule
from ml.gate import row_checks
from ml.gate.verdict import Check, Evidence


def _slices(values: list[Any], right: list[bool], **rule: Any) -> list[Check]:
    """The checks of parts by a column of rows whose target is 1, of which the model has some right."""
    rows = pd.DataFrame({"part": values})
    evidence = Evidence(
        features=rows, target=np.ones(len(rows)), probability=np.where(right, 0.9, 0.1), pipeline=None,
        known=rows, rows=rows, total=len(rows),
    )  # fmt: skip
    return list(row_checks.slices(evidence, SliceRule(column="part", **{"floor": 0.5, "min_rows": 3, **rule})))


def test_a_part_with_as_many_rows_as_are_needed_decides_and_one_row_fewer_does_not() -> None:
    checks = _slices(["few"] * 2 + ["enough"] * 3, [False] * 5)

    assert [(check.name, check.status) for check in checks] == [
        ("slice part = enough", "failed"),
        ("slice part = few", "unsure"),
    ]
    assert checks[1].found == {"rows": 2, "value": 0.0, "floor": 0.5}
    assert checks[1].words == "part = few has 2 held-out rows, too few to tell"


def test_a_part_that_is_too_small_does_not_end_the_look_at_the_others() -> None:
    checks = _slices(["a"] + ["b"] * 3, [True] + [False] * 3)

    assert [(check.name, check.status) for check in checks] == [
        ("slice part = a", "unsure"),
        ("slice part = b", "failed"),
    ]


@pytest.mark.parametrize(("floor", "status"), [(0.75, "passed"), (0.76, "failed")])
def test_a_part_that_is_worth_just_its_floor_passes(floor: float, status: str) -> None:
    [check] = _slices(["a"] * 4, [True, True, True, False], floor=floor)

    assert (check.status, check.found["value"], check.found["floor"]) == (status, 0.75, floor)
    assert check.words == (
        f"test_accuracy 0.7500 of the 4 rows with part = a {'keeps' if status == 'passed' else 'misses'} "
        f"the floor of {floor:g}"
    )


def test_where_less_is_better_the_floor_is_the_most() -> None:
    # The log loss of rows that are right with 0.9 is 0.105.
    kept, broken = (_slices(["a"] * 4, [True] * 4, metric="test_log_loss", floor=most)[0] for most in (0.11, 0.1))

    assert (kept.status, broken.status) == ("passed", "failed")


@pytest.mark.parametrize(("different", "parts"), [(10, 10), (11, 2)])
def test_ten_numbers_are_parts_of_their_own_and_eleven_are_cut_into_bins(different: int, parts: int) -> None:
    checks = _slices(list(range(different)) * 3, [True] * different * 3, bins=2)

    assert len(checks) == parts
    assert all(check.status == "passed" for check in checks)
    assert sum(check.found["rows"] for check in checks) == different * 3


def test_numbers_most_of_which_are_the_same_have_no_empty_part() -> None:
    checks = _slices([0] * 60 + list(range(1, 21)), [True] * 80, bins=4)

    assert [check.found["rows"] for check in checks] == [60, 20]


def test_missing_values_are_a_part_and_the_others_come_in_the_order_of_their_text() -> None:
    checks = _slices(["b", None, "a", 10, 9] * 3, [True] * 15)

    assert [check.name for check in checks] == [
        "slice part missing", "slice part = 10", "slice part = 9", "slice part = a", "slice part = b",
    ]  # fmt: skip


def test_a_column_that_is_not_there_fails_by_its_name() -> None:
    [check] = row_checks.slices(
        Evidence(pd.DataFrame(), np.ones(0), np.ones(0), None, pd.DataFrame(), pd.DataFrame({"a": []}), 0),
        SliceRule(column="town", floor=0.5),
    )

    assert (check.name, check.status) == ("slice town", "failed")
    assert check.words == "the data has no column 'town' to cut slices by"


def _leak(ones: int, zeros: int, **gate: float) -> Check:
    """The check of a held-out part with so many rows of each class, whose one feature is the target in disguise."""
    target = np.array([1.0] * ones + [0.0] * zeros)
    known = pd.DataFrame({"told": np.tile([0.0, 1.0], 50), "\0target": np.tile([0.0, 1.0], 50)})
    features = pd.DataFrame({"told": target})
    [check] = row_checks.leaks(
        Evidence(features, target, target, None, known, features, len(target)), GateConfig(**gate)
    )
    return check


@pytest.mark.parametrize(
    ("ones", "zeros", "status"), [(9, 60, "unsure"), (60, 9, "unsure"), (10, 60, "failed"), (60, 10, "failed")]
)
def test_a_leak_is_told_from_luck_where_each_class_has_ten_rows(ones: int, zeros: int, status: str) -> None:
    check = _leak(ones, zeros, leak=0.99)

    assert (check.name, check.status) == ("no leaked target", status)
    assert check.found == ({} if status == "unsure" else {"features": {"told": 1.0}, "most": 0.99})


def test_a_leak_that_is_just_allowed_passes() -> None:
    check = _leak(20, 20, leak=1.0)

    assert (check.name, check.status) == ("no leaked target", "passed")
    assert check.found == {"features": {"told": 1.0}, "most": 1.0}
    assert check.words == "'told' alone tells the target best, with ROC AUC 1.0000"


def test_each_column_that_leaks_is_named_wherever_it_stands() -> None:
    target = np.tile([0.0, 1.0], 50)
    luck = np.tile([0.0, 0.0, 1.0, 1.0], 25)
    features = pd.DataFrame({"a told": target, "b told": -target, "z luck": luck})
    known = features.assign(**{"\0target": target})

    [check] = row_checks.leaks(
        Evidence(features, target, target, None, known, features, len(target)), GateConfig(leak=0.99)
    )

    assert check.status == "failed"
    assert check.words.startswith("'a told', 'b told' alone tells the target with ROC AUC 1.0000, above 0.99: ")
    assert check.found["features"]["a told"] == check.found["features"]["b told"] == 1.0
    assert check.found["features"]["z luck"] < 0.6


class _Model:
    """A model whose probability is a function of the column `x`."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self._answer = answer

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        ones = np.asarray(self._answer(rows["x"]), dtype=float)
        return np.column_stack([1 - ones, ones])


def _behaviour(values: Any, answer: Callable[[Any], Any], **rule: Any) -> Check:
    """The check of a rule about the one column `x`."""
    rows, model = pd.DataFrame({"x": values}).set_axis(range(100, 100 + len(values))), _Model(answer)
    probability = model.predict_proba(rows)[:, 1]
    evidence = Evidence(rows, np.zeros(len(rows)), probability, model, rows, rows, len(rows))
    return row_checks.behaviour(evidence, BehaviourRule(column="x", **rule))


NUMBERS = np.arange(10.0)


def _dips(numbers: Any) -> Any:
    """Stands still up to 4, falls from there to 5, and rises."""
    return np.where(numbers < 5, 0.5, 0.05 * numbers)


@pytest.mark.parametrize(
    ("answer", "effect", "tolerance", "status", "against"),
    [
        (lambda x: 0.05 * x, "up", 0.05, "passed", 0.0),
        (lambda x: 0.05 * x, "down", 0.05, "failed", 1.0),
        (lambda x: 1 - 0.05 * x, "down", 0.05, "passed", 0.0),
        (lambda x: 1 - 0.05 * x, "up", 0.05, "failed", 1.0),
        (_dips, "up", 0.1, "passed", 0.1),
        (_dips, "up", 0.09, "failed", 0.1),
        (lambda x: 1 - _dips(x), "down", 0.1, "passed", 0.1),
        (lambda x: 1 - _dips(x), "down", 0.09, "failed", 0.1),
    ],
)
def test_rows_that_go_the_other_way_than_declared_are_counted(
    answer: Callable[[Any], Any], effect: str, tolerance: float, status: str, against: float
) -> None:
    check = _behaviour(NUMBERS, answer, check="direction", effect=effect, tolerance=tolerance, step=1.0)

    assert (check.name, check.status) == ("direction of x", status)
    assert check.words == (
        f"'x' raised by 1 moves the probability {effect} but for {against:.1%} of the rows"
        + (f": more than {tolerance:.1%}" if status == "failed" else "")
    )
    assert check.found.keys() == {"against", "most", "step", "mean_change"}
    assert (check.found["against"], check.found["most"], check.found["step"]) == (against, tolerance, 1.0)


def test_a_step_is_as_declared_or_one_deviation_or_one() -> None:
    rule: dict[str, Any] = {"check": "direction", "effect": "up"}

    deviation = _behaviour(NUMBERS, lambda x: 0.01 * x, **rule)
    assert deviation.found["step"] == pytest.approx(NUMBERS.std(ddof=1))
    assert deviation.found["mean_change"] == pytest.approx(0.01 * NUMBERS.std(ddof=1))
    assert _behaviour(NUMBERS, lambda x: 0.01 * x, step=3.0, **rule).found["step"] == 3.0
    alike = _behaviour([2.0] * 5, lambda x: 0.01 * x, **rule)
    assert (alike.status, alike.found["step"]) == ("passed", 1.0)


def test_a_model_that_ignores_the_column_goes_nowhere() -> None:
    check = _behaviour(NUMBERS, lambda x: 0.0 * x + 0.3, check="direction", effect="up")

    assert (check.status, check.found["against"]) == ("failed", 0.0)
    assert check.words.endswith("but for 0.0% of the rows: it does not move at all")


@pytest.mark.parametrize(("tolerance", "status", "said"), [(0.08, "passed", "at most"), (0.07, "failed", "more than")])
def test_each_of_few_values_is_tried_for_all_rows(tolerance: float, status: str, said: str) -> None:
    values = pd.Series(["a", "b", "c", "c"], dtype=object)

    check = _behaviour(values, lambda x: x.map({"a": 0.2, "b": 0.3, "c": 0.2}), check="invariance", tolerance=tolerance)

    # With b for all, three of four rows move by 0.1.
    assert (check.name, check.status) == ("invariance of x", status)
    assert check.found == {"moved": pytest.approx(0.075), "most": tolerance}
    assert check.words == f"changing 'x' moves the probability by 0.0750 on average, {said} {tolerance:g}"


def test_ten_values_are_tried_one_by_one_and_of_eleven_the_rows_exchange_theirs() -> None:
    ten, eleven = (
        _behaviour(np.arange(count), lambda x: x / 20, check="invariance", tolerance=0) for count in (10.0, 11.0)
    )

    assert ten.found["moved"] == pytest.approx(4.5 / 20)
    # The same exchange each time, which moves less than 0 for all rows would.
    assert eleven.found == _behaviour(np.arange(11.0), lambda x: x / 20, check="invariance", tolerance=0).found
    assert 0 < eleven.found["moved"] < 5 / 20
    assert (ten.status, eleven.status) == ("failed", "failed")


def test_what_does_not_move_at_all_keeps_a_tolerance_of_nothing() -> None:
    assert _behaviour(NUMBERS, lambda x: 0.0 * x, check="invariance", tolerance=0).status == "passed"


@pytest.mark.parametrize("rule", [{"check": "invariance"}, {"check": "direction", "effect": "up"}])
def test_a_column_without_a_value_in_the_held_out_rows_leaves_doubt(rule: dict[str, Any]) -> None:
    check = _behaviour([np.nan] * 5, lambda x: x.fillna(0.5), **rule)

    assert (check.name, check.status) == (f"{rule['check']} of x", "unsure")
    assert check.words == "no held-out row has a value of 'x' to change"


def test_a_rule_about_what_is_no_feature_or_no_number_fails_by_its_name() -> None:
    rows = pd.DataFrame({"y": [1.0]})
    evidence = Evidence(rows, np.zeros(1), np.zeros(1), None, rows, rows, 1)
    check = row_checks.behaviour(evidence, BehaviourRule(column="x", check="invariance"))
    text = _behaviour(pd.Series(["a"], dtype=object), lambda x: [0.5], check="direction", effect="up")

    assert (check.name, check.status) == ("invariance of x", "failed")
    assert check.words == "'x' is no feature, so its invariance cannot be checked"
    assert (text.name, text.status) == ("direction of x", "failed")
    assert text.words == "'x' is no number, so it has no direction"
