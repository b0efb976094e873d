"""Cross-validated metrics, curves and importances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_score, recall_score
from sklearn.model_selection import cross_val_predict

from ml.config.schema import PipelineConfig
from ml.evaluation import curves, metrics, plots
from ml.steps import model_card
from ml.training.features import Roles
from tests.fakes import Fitted


def test_validation_is_cross_validated_and_the_seed_decides(fitted: Fitted) -> None:
    first, again = (curves.validation(fitted.pipeline, fitted.features, fitted.target, 3, 1) for _ in range(2))

    assert first == again
    assert set(first) == {f"validation_{name}" for name in metrics.NAMES}
    assert 0.8 < first["validation_accuracy"] <= 1


def test_folds_are_fewer_where_a_class_is_rare() -> None:
    assert curves.folds_for(pd.Series([0] * 50 + [1] * 3), 5) == 3
    assert curves.folds_for(pd.Series([0] * 50 + [1]), 5) == 0
    assert curves.folds_for(pd.Series([0] * 50), 5) == 0
    assert curves.folds_for(pd.Series([0, 1] * 50), 0) == 0


def test_the_learning_curve_has_a_point_for_each_size(fitted: Fitted) -> None:
    found = curves.learning(fitted.pipeline, fitted.features, fitted.target, 1)

    sizes = [rows for rows, _ in found["learning/validation_log_loss"]]
    assert sizes == [40, 100, 200]
    assert all(value > 0 for _, value in found["learning/train_log_loss"])
    assert curves.learning(fitted.pipeline, fitted.features.head(4), fitted.target.head(4), 1) == {}


def test_the_threshold_curve_is_scikit_learns_at_each_threshold() -> None:
    rng = np.random.default_rng(0)
    target, probability = pd.Series(rng.integers(0, 2, 300)), rng.random(300)

    found = curves.threshold(target, probability)

    for percent in (0, 30, 50, 98, 100):
        said = (probability > percent / 100).astype(int)
        at = {name: dict(points)[percent] for name, points in found.items()}
        assert at["threshold/precision"] == pytest.approx(precision_score(target, said, zero_division=0))
        assert at["threshold/recall"] == pytest.approx(recall_score(target, said))
        assert at["threshold/f1"] == pytest.approx(f1_score(target, said))
        assert at["threshold/accuracy"] == pytest.approx((target == said).mean())


def test_what_matters_comes_first(fitted: Fitted) -> None:
    found = curves.importance(fitted.pipeline, fitted.features, fitted.target, 1)

    assert set(found) == set(fitted.features.columns)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert next(iter(found)) in ("Daily Internet Usage", "Daily Time Spent on Site")


def test_importances_are_scikit_learns(fitted: Fitted) -> None:
    found = curves.importance(fitted.pipeline, fitted.features, fitted.target, 1)
    theirs = permutation_importance(
        fitted.pipeline, fitted.features, fitted.target, scoring="neg_log_loss", n_repeats=3, random_state=1,
        max_samples=min(500, len(fitted.features)),
    )  # fmt: skip

    assert found == dict(zip(fitted.features.columns, map(float, theirs.importances_mean), strict=True))


class Counted(ClassifierMixin, BaseEstimator):
    """A model of three columns among many, which counts how often it is asked."""

    classes_ = np.array([0, 1])
    asked = 0

    def fit(self, features: pd.DataFrame, target: pd.Series) -> None:
        """Nothing: scikit-learn takes only what has it."""

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        self.asked += 1
        assert set(features.columns) == {f"x{i}" for i in range(400)}
        score = 1 / (1 + np.exp(-features[["x7", "x200", "x399"]].sum(axis="columns").to_numpy()))
        return np.column_stack([1 - score, score])


def test_of_many_columns_the_most_telling_are_measured_and_the_rest_is_told() -> None:
    rng = np.random.default_rng(2)
    features = pd.DataFrame({f"x{i}": rng.normal(size=300) for i in range(400)})
    target = pd.Series((features[["x7", "x200", "x399"]].sum(axis="columns") > 0).astype(int))
    model = Counted()

    found = curves.importance(model, features, target, 1)
    roles = Roles(tuple(features.columns), (), "y", 0, 1)
    text = model_card.card(
        model_card.Facts(config=PipelineConfig(), roles=roles, metrics={}, tags={}, importance=found)
    )

    assert len(found) == curves.MAX_IMPORTANCES
    assert set(list(found)[:3]) == {"x7", "x200", "x399"}
    assert model.asked <= 3 * curves.MAX_IMPORTANCES + 3
    assert "Of 400 columns the 100 that by themselves tell the target best were measured; 300 were left out." in text
    assert plots.curve_plots({}, {}, found, 400) != plots.curve_plots({}, {}, found)


@pytest.mark.parametrize("many", [1, 10**9])
def test_the_validation_is_scikit_learns_however_many_threads_there_are(many: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(curves, "_MANY_CELLS", many)
    rng = np.random.default_rng(3)
    features, target = pd.DataFrame({"x": rng.random(200)}), pd.Series(rng.integers(0, 2, 200))
    model, folds = LogisticRegression(), curves.splitter(5, 42)

    found = curves.validation(model, features, target, 5, 42)

    theirs = cross_val_predict(model, features, target, cv=folds, method="predict_proba")
    assert found == metrics.metrics(target, theirs[:, 1], "validation")
