"""Figures: drawn whatever the names are, and left out where there is nothing to draw."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from PIL import Image

from ml.config.schema import PipelineConfig
from ml.evaluation import metrics, plots
from ml.training.features import Roles
from ml.training.pipeline import build_pipeline
from tests.fakes import Fitted

NAMES = [
    "usd$_per_100$_unit", "price ($)", "$^$", "$\\frac{$", "a\nb\r\tc", "_hidden", "", " ", "\x00\x1b", "W" * 500,
    "W" * 501, "年齢", "❤", "\u202eabc", "<b>%s {x}", "\\",
]  # fmt: skip


def test_any_name_of_a_column_gives_a_figure() -> None:
    rng = np.random.default_rng(2)
    features = pd.DataFrame({name: rng.normal(size=60) for name in NAMES[:-1]}).assign(
        **{NAMES[-1]: rng.choice(["$x$", "$_$"], 60)}
    )
    target = pd.Series(np.arange(60) % 2)
    roles = Roles(tuple(NAMES[:-1]), (NAMES[-1],), "y", 0, 1)
    pipeline = build_pipeline(PipelineConfig(), roles).fit(features, target)

    found = plots.plots(pipeline, target, rng.random(60))
    found |= plots.curve_plots({}, {}, dict.fromkeys(NAMES, 0.1))

    assert {"coefficients.png", "feature_importance.png"} <= set(found)
    assert all(content.startswith(b"\x89PNG") for content in found.values())


def test_columns_whose_names_begin_alike_have_a_bar_each() -> None:
    alike = {"W" * 50 + str(number): 0.1 + 0.1 * number for number in range(8)}

    drawn = bars(plots.curve_plots({}, {}, alike)["feature_importance.png"])

    assert drawn == 8


def bars(image: bytes) -> int:
    """How many bars a figure has: the runs of their blue down a line beside the axis."""
    pixels = np.asarray(Image.open(io.BytesIO(image)).convert("RGB")).astype(int)
    blue = np.abs(pixels - [31, 119, 180]).sum(axis=2) < 30
    column = blue[:, int(np.flatnonzero(blue.any(axis=0))[0]) + 1]
    return int((np.diff(column.astype(int), prepend=0) == 1).sum())


def test_curves_are_drawn_and_empty_ones_left_out(fitted: Fitted) -> None:
    line = {"learning/train_log_loss": [(10, 0.5), (20, 0.4)]}

    found = plots.curve_plots(line, {"threshold/f1": [(0, 0.1), (100, 0.9)]}, {"a": 0.1})

    assert set(found) == {"learning_curve.png", "threshold_curve.png", "feature_importance.png"}
    assert all(content.startswith(b"\x89PNG") for content in found.values())
    assert plots.curve_plots({}, {}, {}) == {}


def test_five_plots_are_drawn_without_any_window(fitted: Fitted) -> None:
    probability = metrics.probabilities(fitted.pipeline, fitted.features)

    found = plots.plots(fitted.pipeline, fitted.target, probability)

    assert sorted(found) == [
        "calibration_curve.png", "coefficients.png", "confusion_matrix.png", "precision_recall_curve.png",
        "roc_curve.png",
    ]  # fmt: skip
    assert all(content.startswith(b"\x89PNG") and len(content) > 5000 for content in found.values())
