"""The Pipeline takes raw columns whatever is missing in them, and tells which categories it saw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from ml.evaluation import metrics
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline, known_categories
from tests.unit.ml.training.conftest import config, mixed


def test_the_pipeline_takes_missing_values_and_categories_that_training_never_saw() -> None:
    settings = config()
    frame = mixed()
    roles = preprocess.decide_roles(frame, settings)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
    pipeline = build_pipeline(settings, roles).fit(features, target)
    new = features.head(3).assign(amount=[np.nan, 0.5, 0.5], city=["Paris", None, "Rome"])

    found = metrics.probabilities(pipeline, new)

    assert target.tolist()[:2] == [0, 1]
    assert ((found > 0) & (found < 1)).all()


def test_a_feature_without_a_value_in_training_does_no_harm() -> None:
    settings = config(data={"features": ["amount", "empty"]})
    frame = mixed().assign(empty=np.nan)
    roles = preprocess.decide_roles(frame, settings)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)

    pipeline = build_pipeline(settings, roles).fit(features, target)

    assert len(pipeline[:-1].get_feature_names_out()) == 4


@pytest.mark.parametrize(("scalers", "width"), [(["minmax", "standard"], 2), (["standard"], 1), ([], 1)])
def test_scalers_stand_side_by_side(scalers: list[str], width: int) -> None:
    settings = config(data={"features": ["amount"]}, preprocessing={"scalers": scalers})
    frame = mixed()
    roles = preprocess.decide_roles(frame, settings)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)

    pipeline = build_pipeline(settings, roles).fit(features, target)

    assert pipeline[:-1].transform(features).shape == (60, width)


def test_the_estimator_gets_its_parameters() -> None:
    settings = config(model={"parameters": {"C": 0.5, "max_iter": 7, "class_weight": "balanced"}})
    estimator = build_pipeline(settings, preprocess.decide_roles(mixed(), settings))[-1]

    assert (estimator.C, estimator.max_iter, estimator.class_weight) == (0.5, 7, "balanced")


def _of_cities() -> tuple[Pipeline, pd.DataFrame]:
    """A Pipeline that was fitted to cities, and what it was fitted to."""
    frame, settings = mixed(), config(data={"features": ["city"]})
    roles = preprocess.decide_roles(frame, settings)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
    return build_pipeline(settings, roles).fit(features, target), features


def test_a_missing_category_is_one_of_its_own_and_a_new_one_is_none() -> None:
    pipeline, _ = _of_cities()
    asked = pd.DataFrame({"city": pd.Series(["Rome", "Ulm", None, np.nan, "Paris"], dtype=object)})

    codes = pipeline[:-1].transform(asked).tolist()

    assert codes == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_the_categories_are_those_of_training_without_the_missing_one() -> None:
    pipeline, features = _of_cities()
    bare = Pipeline([("columns", ColumnTransformer([("city", OneHotEncoder(), ["city"])]))]).fit(features)

    assert known_categories(pipeline) == {"city": frozenset({"Rome", "Ulm"})}
    assert known_categories(bare) == {"city": frozenset({"Rome", "Ulm"})}


def test_what_has_no_categories_tells_none() -> None:
    settings = config(data={"features": ["amount", "city"]})
    unfitted = build_pipeline(settings, preprocess.decide_roles(mixed(), settings))

    assert known_categories(unfitted) == {}
    assert known_categories(object()) == {}
