"""Each metric is scikit-learn's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn import metrics as sk

from ml.config.promotion import GateConfig, PromotionConfig, SliceRule
from ml.config.schema import TuneConfig
from ml.evaluation import metrics

if TYPE_CHECKING:
    pass


NAMES = {"accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss", "brier"}


RNG = np.random.default_rng(0)


TARGET = (RNG.random(200) < 0.4).astype(float)


SCORES = np.round(np.clip(TARGET * 0.3 + RNG.random(200) * 0.7, 0, 1), 1)


SKLEARN = {
    "accuracy": sk.accuracy_score, "precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score,
    "roc_auc": sk.roc_auc_score, "average_precision": sk.average_precision_score, "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
}  # fmt: skip


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_metrics_have_their_agreed_names(part: str) -> None:
    found = metrics.metrics(pd.Series([0, 1, 1, 0]), np.array([0.1, 0.9, 0.4, 0.2]), part)

    assert set(found) == {f"{part}_{name}" for name in NAMES}
    assert all(isinstance(value, float) for value in found.values())


def test_the_metrics_are_those_of_a_table_counted_by_hand() -> None:
    target, probability = pd.Series([0, 0, 1, 1]), np.array([0.2, 0.6, 0.7, 0.4])

    found = metrics.metrics(target, probability, "test")

    assert found["test_accuracy"] == 0.5
    assert found["test_precision"] == 0.5
    assert found["test_recall"] == 0.5
    assert found["test_roc_auc"] == 0.75
    assert found["test_brier"] == pytest.approx((0.04 + 0.36 + 0.09 + 0.36) / 4)
    assert found["test_log_loss"] == pytest.approx(-np.log([0.8, 0.4, 0.7, 0.4]).mean())


def test_a_model_that_never_says_yes_has_a_precision_of_nought() -> None:
    assert metrics.metrics(pd.Series([0, 1]), np.array([0.1, 0.2]), "test")["test_precision"] == 0.0


def weights_of(name: str, weights: np.ndarray) -> float:
    said = (SCORES > 0.5).astype(int) if name in ("accuracy", "precision", "recall", "f1") else SCORES
    return float(SKLEARN[name](TARGET, said, sample_weight=weights))


@pytest.mark.parametrize("name", metrics.NAMES)
def test_a_metric_of_weighted_rows_is_scikit_learns(name: str) -> None:
    drawn = RNG.multinomial(200, [1 / 200] * 200, size=5).astype(float)

    found = metrics.weighted(f"test_{name}", TARGET, SCORES, drawn)

    assert found == pytest.approx([weights_of(name, row) for row in drawn], abs=1e-12)
    assert metrics.metric_of(name, TARGET, SCORES) == pytest.approx(weights_of(name, np.ones(200)), abs=1e-12)


def test_a_metric_that_is_not_defined_is_no_number() -> None:
    assert np.isnan(metrics.metric_of("roc_auc", np.ones(5), np.full(5, 0.5)))


def test_a_metric_may_be_chosen_wherever_one_is() -> None:
    for name in NAMES:
        rule = SliceRule(column="x", metric=f"test_{name}", floor=0)
        gate = GateConfig(thresholds={f"test_{name}": 0.5}, slices=(rule,))
        assert PromotionConfig(metric=f"test_{name}", gate=gate).metric == f"test_{TuneConfig(metric=name).metric}"

    with pytest.raises(ValidationError, match="'log_loss' or 'brier'"):
        TuneConfig(metric="test_brier")
    with pytest.raises(ValidationError, match="'test_log_loss' or 'test_brier'"):
        PromotionConfig(metric="brier")


def test_less_of_a_loss_is_better() -> None:
    assert {name for name in NAMES if metrics.sign(f"test_{name}") < 0} == {"log_loss", "brier"}
