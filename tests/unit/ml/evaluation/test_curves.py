"""Cross-validated metrics, curves, importances, the profile and the card that tells of them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_score, recall_score
from sklearn.model_selection import cross_val_predict

from ml.config.schema import PipelineConfig
from ml.evaluation import curves, metrics, plots
from ml.inspection import profile
from ml.steps import model_card
from ml.tracking import provenance
from ml.training.features import Roles
from ml.training.pipeline import build_pipeline
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


def test_the_profile_tells_of_every_column(rows: pd.DataFrame) -> None:
    frame = rows.assign(gap=[None, *range(len(rows) - 1)], text="a|b<c>")

    found = profile.profile(frame)
    columns = {column["name"]: column for column in found["columns"]}

    assert found["rows"] == len(rows)
    assert columns["gap"]["missing"] == 1
    assert columns["Age"]["mean"] == pytest.approx(rows["Age"].mean())
    assert columns["text"]["top"] == {"a|b<c>": len(rows)}
    lines = profile.table(found)
    assert all(line.count("|") - line.count("\\|") == 6 for line in lines)
    assert "&lt;c&gt;" in lines[-1]


def test_the_card_reads_as_a_model_card_and_is_safe(fitted: Fitted, rows: pd.DataFrame) -> None:
    facts = model_card.Facts(
        config=PipelineConfig(), roles=fitted.roles,
        metrics={"test_accuracy": 0.9, "train_accuracy": 0.95, "validation_accuracy": 0.92},
        tags={
            "data.digest": "d1", "airflow.run_id": "run`1", "git.commit": "abc", "git.dirty": "true",
            "note": "<b>bold</b> [link](x)",
        },
        profile=profile.profile(rows), importance={"Age": 0.2}, rows={"train": (210, 0.5), "test": (90, 0.4)},
        links={"DAG run in Airflow": "http://a/b"}, version="3",
    )  # fmt: skip

    text = model_card.card(facts)

    for heading in ("# ad-click, version 3", "## Model", "## Metrics", "## Data", "## Origin", "## Limits"):
        assert heading in text
    assert "| accuracy | 0.9500 | 0.9200 | 0.9000 |" in text
    assert "with uncommitted changes" in text
    assert "90 rows only" in text
    assert "<b>" not in text


def test_the_origin_is_told_with_and_without_changes() -> None:
    found = provenance.tags("a" * 40 + "-dirty", "http://airflow/run")

    assert (found["git.commit"], found["git.dirty"]) == ("a" * 40, "true")
    assert len(found["env.lock_sha256"]) == 64
    assert provenance.tags("a" * 40, "x")["git.dirty"] == "false"
    assert not {"git.commit", "git.dirty"} & set(provenance.tags("", "x"))


def test_without_a_lock_file_the_installed_packages_are_told(tmp_path) -> None:
    assert provenance.lock_digest(tmp_path / "none").startswith("installed:")


@pytest.mark.parametrize("many", [1, 10**9])
def test_the_validation_is_scikit_learns_however_many_threads_there_are(many: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(curves, "_MANY_CELLS", many)
    rng = np.random.default_rng(3)
    features, target = pd.DataFrame({"x": rng.random(200)}), pd.Series(rng.integers(0, 2, 200))
    model, folds = LogisticRegression(), curves.splitter(5, 42)

    found = curves.validation(model, features, target, 5, 42)

    theirs = cross_val_predict(model, features, target, cv=folds, method="predict_proba")
    assert found == metrics.metrics(target, theirs[:, 1], "validation")
