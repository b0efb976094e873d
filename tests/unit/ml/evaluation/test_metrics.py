"""Metrics and plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from ml.evaluation import metrics, plots

if TYPE_CHECKING:
    from tests.fakes import Fitted

NAMES = {"accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss", "brier"}


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


def test_five_plots_are_drawn_without_any_window(fitted: Fitted) -> None:
    probability = metrics.probabilities(fitted.pipeline, fitted.features)

    found = plots.plots(fitted.pipeline, fitted.target, probability)

    assert sorted(found) == [
        "calibration_curve.png", "coefficients.png", "confusion_matrix.png", "precision_recall_curve.png",
        "roc_curve.png",
    ]  # fmt: skip
    assert all(content.startswith(b"\x89PNG") and len(content) > 5000 for content in found.values())
