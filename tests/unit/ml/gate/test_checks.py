"""The gate's checks of the whole, at the edges of what decides about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.config.promotion import GateConfig, PromotionConfig
from ml.gate import checks
from ml.gate.verdict import AGAINST_CHAMPION, Champion, Evidence

TARGET = np.tile([0.0, 1.0], 100)
GOOD = np.where(TARGET == 1, 0.9, 0.1)
WORSE = np.where(TARGET == 1, 0.89, 0.11)
"""Each row costs log(0.9 / 0.89) = 0.0112 more log loss."""


def evidence(probability: np.ndarray = GOOD, target: np.ndarray = TARGET, **more: Any) -> Evidence:
    rows = pd.DataFrame(index=range(len(target)))
    return Evidence(rows, target, probability, None, rows, rows, **{"total": 1000, **more})


def against_champion(candidate: np.ndarray, margin: float = 0.02, **champion: Any) -> tuple[float | None, Any]:
    live = Champion("7", **champion)
    gain, [check] = checks.champion(
        evidence(candidate, champion=live), PromotionConfig(gate=GateConfig(margin=margin, resamples=200))
    )
    assert check.name == AGAINST_CHAMPION
    return gain, check


def test_the_contract_is_kept_or_what_breaks_it_is_said() -> None:
    kept, broken = checks.contract(evidence(total=1234)), checks.contract(evidence(contract="no column 'x'"))

    assert (kept.name, kept.status, kept.words) == (
        "data contract", "passed", "all 1,234 rows keep the data contract",
    )  # fmt: skip
    assert (broken.name, broken.status, broken.words) == (
        "data contract", "failed", "the data breaks the contract: no column 'x'",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "value", "bound", "expected"),
    [
        ("test_roc_auc", 0.8, 0.8, ("passed", "keeps")),
        ("test_roc_auc", 0.79, 0.8, ("failed", "misses")),
        ("test_log_loss", 0.3, 0.3, ("passed", "keeps")),
        ("test_log_loss", 0.31, 0.3, ("failed", "misses")),
        ("test_log_loss", float("nan"), 0.3, ("failed", "misses")),
    ],
)
def test_a_bound_is_the_least_or_for_a_loss_the_most(
    metric: str, value: float, bound: float, expected: tuple[str, str]
) -> None:
    assert checks.against(metric, value, bound) == expected


def test_each_threshold_has_a_check_with_its_figures() -> None:
    gate = GateConfig(thresholds={"test_accuracy": 1.0, "test_log_loss": 0.1})

    most, least = sorted(checks.thresholds(evidence(), gate), key=lambda check: check.status)

    assert (least.name, least.status, least.found) == (
        "threshold of test_accuracy", "passed", {"value": 1.0, "bound": 1.0},
    )  # fmt: skip
    assert least.words == "test_accuracy 1.000000 keeps the threshold of at least 1"
    assert (most.name, most.status) == ("threshold of test_log_loss", "failed")
    assert most.found == {"value": pytest.approx(-np.log(0.9)), "bound": 0.1}
    assert most.words == "test_log_loss 0.105361 misses the threshold of at most 0.1"


@pytest.mark.parametrize(("total", "status"), [(500, "passed"), (499, "failed"), (2000, "passed")])
def test_a_data_set_has_at_least_its_part_of_the_champions_rows(total: int, status: str) -> None:
    [check] = checks.shrink(evidence(total=total, champion=Champion("7", rows=1000)), GateConfig(shrink=0.5))

    assert (check.name, check.status) == ("size of the data", status)
    assert check.found == {"rows": total, "champion_rows": 1000, "least": 0.5}
    said = f"the data set has {total:,} rows, {total / 1000:.0%} of the 1,000 of champion version 7"
    assert check.words == said + (": at least 50% is wanted" if status == "failed" else "")


@pytest.mark.parametrize(("champion", "least"), [(None, 0.5), (Champion("7"), 0.5), (Champion("7", rows=10**6), None)])
def test_without_a_size_to_compare_with_there_is_no_check_of_it(champion: Champion | None, least: float | None) -> None:
    assert checks.shrink(evidence(champion=champion), GateConfig(shrink=least)) == []


def test_a_dummy_that_is_beaten_is_told_with_its_figures() -> None:
    check = checks.dummy(evidence(), GateConfig(resamples=200))

    assert (check.name, check.status) == ("better than a dummy", "passed")
    assert check.found.keys() == {"auc", "rows", "positives", "chance", "most"}
    assert (check.found["auc"], check.found["rows"], check.found["positives"]) == (1.0, 200, 100)
    assert check.words.startswith("ROC AUC 1.0000 on 200 held-out rows, 100 of them positive, has a chance of ")
    assert check.words.endswith(" by luck: better than the 0.5 of a dummy classifier")


def test_of_three_rows_nothing_can_be_told() -> None:
    check = checks.dummy(evidence(np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.0, 1.0])), GateConfig(resamples=200))

    assert (check.name, check.status) == ("better than a dummy", "unsure")
    assert check.found == {"auc": 1.0, "rows": 3, "positives": 1}
    assert check.words == (
        "ROC AUC 1.0000 on 3 held-out rows, 1 of them positive, tells nothing of the 0.5 of a dummy classifier: "
        "the sample is too small for 95%"
    )


@pytest.mark.parametrize(
    ("positives", "rows", "status"),
    [(10, 100, "failed"), (9, 100, "unsure"), (10, 99, "unsure"), (90, 100, "failed"), (91, 100, "unsure")],
)
def test_what_is_no_better_than_a_dummy_fails_where_there_are_rows_enough(
    positives: int, rows: int, status: str
) -> None:
    target = np.array([1.0] * positives + [0.0] * (rows - positives))
    # A little better than luck: of each class about every other row scores higher, and one more positive.
    score = np.concatenate([np.tile([0.6, 0.4], 50)[:positives], np.tile([0.4, 0.6], 50)[: rows - positives]])
    score[1] = 0.6

    check = checks.dummy(evidence(score, target), GateConfig(resamples=200, min_rows=100))

    assert check.found["auc"] > 0.5
    assert (check.name, check.status) == ("better than a dummy", status)
    assert check.words.startswith("ROC AUC ")
    assert "no better than the 0.5 of a dummy classifier" in check.words
    assert check.words.endswith("as far as they can tell: the sample is too small") == (status == "unsure")


def test_without_a_champion_there_is_nothing_to_compare_with() -> None:
    assert checks.champion(evidence(), PromotionConfig()) == (None, [])


def test_a_champion_that_cannot_be_asked_leaves_doubt() -> None:
    gain, check = against_champion(GOOD, problem="has other inputs")

    assert (gain, check.status, check.words) == (None, "unsure", "champion version 7 has other inputs")


@pytest.mark.parametrize(
    ("candidate", "margin", "status", "gain"),
    [
        (GOOD, 0.0, "passed", 0.0),
        (WORSE, 0.02, "passed", -0.0112),
        (WORSE, 0.01, "failed", -0.0112),
        (np.where(np.arange(200) < 100, GOOD, 1 - GOOD), 1.0, "unsure", -1.0986),
    ],
)
def test_a_candidate_may_be_worse_by_less_than_the_margin(
    candidate: np.ndarray, margin: float, status: str, gain: float
) -> None:
    by, check = against_champion(candidate, margin, probability=GOOD)

    assert check.status == status
    assert by == check.found["gain"] == pytest.approx(gain, abs=1e-4)
    said = {"passed": "is within the margin of", "failed": "is worse by more than the margin of"}
    assert said.get(status, "the sample is too small to tell") in check.words
    assert check.found.keys() == {"rows", "left_out", "margin", "gain", "low", "high", "candidate", "champion"}
    assert (check.found["rows"], check.found["left_out"], check.found["margin"]) == (200, 0, margin)
    assert check.found["champion"] == pytest.approx(0.105361, abs=1e-6)
    assert check.found["candidate"] - check.found["champion"] == pytest.approx(-gain, abs=1e-4)
    assert check.found["low"] <= check.found["gain"] <= check.found["high"]
    assert "of champion version 7 on the same 200 rows: a gain of" in check.words


def test_rows_that_the_champion_alone_has_learned_from_are_left_out() -> None:
    learned = np.arange(200) < 20
    remembered = np.where(learned, TARGET, GOOD)

    gain, check = against_champion(GOOD, probability=remembered, learned=learned)

    assert (gain, check.status) == (0.0, "passed")
    assert (check.found["rows"], check.found["left_out"]) == (180, 20)
    assert "on the same 180 rows (20 more are left out, which the champion was trained on): a gain" in check.words


@pytest.mark.parametrize(("kept", "status"), [(20, "passed"), (19, "unsure")])
def test_too_few_rows_that_the_champion_has_not_learned_from_leave_doubt(kept: int, status: str) -> None:
    learned = np.arange(200) >= kept

    gain, check = against_champion(GOOD, probability=GOOD, learned=learned)

    assert check.status == status
    assert (check.found["rows"], check.found["left_out"]) == (kept, 200 - kept)
    if status == "unsure":
        assert gain is None
        assert check.words == (
            "champion version 7 was trained on 181 of the 200 held-out rows, and 19 others, 9 of the rarer class, are "
            "too few to compare with it: bring more rows, or promote by hand if you mean it"
        )


@pytest.mark.parametrize(("negatives", "status"), [(10, "passed"), (9, "unsure")])
def test_the_rarer_class_may_be_the_negative_one(negatives: int, status: str) -> None:
    learned = (TARGET == 0) & (np.arange(200) >= 2 * negatives)

    assert against_champion(GOOD, probability=GOOD, learned=learned)[1].status == status
