"""A version that is trained again is the same bit by bit, and other data or another model is not."""

from __future__ import annotations

import pandas as pd
import pytest

from ml.errors import UnreadableData
from ml.steps import evidence, reproduction
from tests.unit.ml.conftest import Place

TARGET = "Clicked on Ad"


def test_a_version_is_trained_again_bit_by_bit(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    registered = evidence.pull(context, "1").pipeline

    found = reproduction.again(place.store, context.key, registered, place.tags(context)["data.digest"])  # type: ignore[arg-type]
    assert (found.identical, found.compared, found.count) == (True, "coefficients", 11)
    assert found.source == "the run's snapshot"

    # What was cleared away is made again by the generator, from the recorded seed.
    place.store.delete(context.path("raw.parquet"))
    again = reproduction.again(place.store, context.key, registered, place.tags(context)["data.digest"])  # type: ignore[arg-type]
    assert again.identical
    assert again.source.startswith("generated-1000-rows")


def test_other_data_or_another_model_is_not_the_same(place: Place, data: pd.DataFrame) -> None:
    context, other = place.run(data), place.run(data, model={"name": place.name, "parameters": {"C": 0.9}})
    registered = evidence.pull(context, other.version).pipeline

    found = reproduction.again(place.store, context.key, registered, "")  # type: ignore[arg-type]
    assert not found.identical
    assert found.largest > 0
    with pytest.raises(UnreadableData, match="digest"):
        reproduction.again(place.store, context.key, registered, "another")  # type: ignore[arg-type]


def test_a_version_from_before_the_digest_of_the_whole_is_trained_again_too(place: Place, data: pd.DataFrame) -> None:
    import mlflow.data

    context = place.run(data)
    old = mlflow.data.from_pandas(data, targets=TARGET).digest  # type: ignore[attr-defined]
    registered = evidence.pull(context, "1").pipeline

    assert reproduction.again(place.store, context.key, registered, old).identical  # type: ignore[arg-type]
    with pytest.raises(UnreadableData, match="digest"):
        reproduction.again(place.store, context.key, registered, "1a2b3c4d")  # type: ignore[arg-type]


def test_an_estimator_without_coefficients_is_compared_by_what_it_predicts(place: Place, data: pd.DataFrame) -> None:
    forest = {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 3, "random_state": 0}}
    one, other = (place.run(data, model={"name": place.name, **forest, "parameters": {**forest["parameters"], **seed}})
                  for seed in ({}, {"random_state": 1}))  # fmt: skip

    same = reproduction.again(place.store, one.key, evidence.pull(one, one.version).pipeline, "")  # type: ignore[arg-type]
    changed = reproduction.again(place.store, one.key, evidence.pull(one, other.version).pipeline, "")  # type: ignore[arg-type]

    assert (same.identical, same.compared, same.count, same.largest) == (True, "predictions", 700, 0.0)
    assert not changed.identical
    assert 0 < changed.largest <= 1


def test_a_model_of_other_columns_is_infinitely_far(place: Place, data: pd.DataFrame) -> None:
    one, other = place.run(data), place.run(data, data={"features": ["Age"]})

    found = reproduction.again(place.store, one.key, evidence.pull(one, other.version).pipeline, "")  # type: ignore[arg-type]

    assert (found.identical, found.compared, found.count, found.largest) == (False, "coefficients", 11, float("inf"))
