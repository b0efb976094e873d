"""Every classifier that the configuration can ask for is opened, and none that learned for other columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skops.io

from ml.errors import Untrusted
from ml.model_file import classifiers
from ml.model_file.skops_file import Thing
from tests.unit.ml.model_file.conftest import BOOSTING, FOREST, LOGISTIC, fitted, frame_of, opened, told

MODELS = [
    LOGISTIC,
    *({"estimator": "LogisticRegression", "parameters": {"solver": one, "max_iter": 300}} for one in
      ("liblinear", "newton-cg", "newton-cholesky", "sag", "saga")),
    {"estimator": "LogisticRegression", "parameters": {"fit_intercept": False, "class_weight": "balanced"}},
    {"estimator": "LogisticRegression", "parameters": {"l1_ratio": 0.5, "solver": "saga", "random_state": 3}},
    BOOSTING,
    {"estimator": "HistGradientBoostingClassifier",
     "parameters": {"early_stopping": True, "class_weight": "balanced", "max_features": 0.5, "max_bins": 9}},
    FOREST,
    {"estimator": "RandomForestClassifier",
     "parameters": {"n_estimators": 2, "class_weight": "balanced_subsample", "ccp_alpha": 0.01}},
    {"estimator": "RandomForestClassifier",
     "parameters": {"n_estimators": 2, "class_weight": "balanced", "max_features": 0.5, "max_leaf_nodes": 5}},
]  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model['estimator']}-{len(str(model))}")
def test_every_classifier_of_ours_is_opened(model: dict[str, Any]) -> None:
    pipeline = fitted(model)

    again = opened(skops.io.dumps(pipeline))

    rows = frame_of()[["Age", "Male", "City"]].head(20)
    assert (again.predict_proba(rows) == pipeline.predict_proba(rows)).all()


def _last(model: dict[str, Any]) -> Any:
    """The classifier of a model's file."""
    return told(model).attrs["steps"][1][1]


def test_a_classifier_of_another_kind_is_refused_with_those_there_are() -> None:
    ours = "one of LogisticRegression, HistGradientBoostingClassifier, RandomForestClassifier"
    for value in (Thing("sklearn.svm._classes.SVC"), "LogisticRegression"):
        with pytest.raises(Untrusted, match=f"^it is not {ours}, as"):
            classifiers.check(value, "it", 3)


@pytest.mark.parametrize("model", [LOGISTIC, BOOSTING, FOREST], ids=lambda model: str(model["estimator"]))
def test_a_classifier_is_one_for_as_many_columns_as_there_are(model: dict[str, Any]) -> None:
    found = _last(model)
    width = found.attrs["n_features_in_"]

    classifiers.check(found, "it", width)
    for other in (width - 1, width + 1):
        with pytest.raises(Untrusted):
            classifiers.check(found, "it", other)


@pytest.mark.parametrize("model", [LOGISTIC, BOOSTING, FOREST], ids=lambda model: str(model["estimator"]))
def test_the_classes_are_0_and_1_in_this_order(model: dict[str, Any]) -> None:
    found = _last(model)
    found.attrs["classes_"] = np.array([1, 0])

    with pytest.raises(Untrusted, match=r"it\.classes_ is not 0 and 1"):
        classifiers.check(found, "it", found.attrs["n_features_in_"])


def test_a_forest_has_as_many_trees_as_it_says() -> None:
    found = _last(FOREST)
    found.attrs["estimators_"].pop()

    with pytest.raises(Untrusted, match="it is not of as many trees as it says"):
        classifiers.check(found, "it", found.attrs["n_features_in_"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("_feature_subsample_rng", "bit_generator", "bit_generator"), "MT19937"),
        (("_feature_subsample_rng", "bit_generator", "uinteger"), -1),
        (("_feature_subsample_rng", "bit_generator", "state", "inc"), 2**128 + 1),
        (("_feature_subsample_rng", "seed_seq", "spawn_key"), (1,)),
        (("_feature_subsample_rng", "seed_seq", "pool_size"), 5),
        (("_bin_mapper", "bin_thresholds_", 0), np.array([0.5, np.nan])),
        (("_bin_mapper", "bin_thresholds_", 0), np.zeros(256)),
        (("_bin_mapper", "n_bins"), 257),
        (("_loss", "n_classes"), 3),
        (("_baseline_prediction",), np.array([[np.inf]])),
    ],
    ids=str,
)
def test_what_boosting_keeps_beside_its_trees_is_as_training_left_it(path: tuple[Any, ...], value: Any) -> None:
    found = _last(BOOSTING)
    *way, name = path
    place: Any = found
    for one in way:
        place = (place.attrs if isinstance(place, Thing) else place)[one]
    (place.attrs if isinstance(place, Thing) else place)[name] = value

    with pytest.raises(Untrusted):
        classifiers.check(found, "it", found.attrs["n_features_in_"])
