"""A folded Pipeline predicts what sklearn predicts, whatever Pipeline it is."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)

from serving.api.scoring import score
from serving.api.table import Table
from serving.models.folding import NotLinear, fold
from serving.models.predictor import TOLERANCE, Predictor
from tests.fakes import loaded_with, random_frame, random_pipeline, word_imputers


@pytest.mark.parametrize("min_frequency", [1, 30])
@pytest.mark.parametrize("dtype", ["object", "str"])
def test_a_missing_text_that_is_filled_in_is_folded(dtype: str, min_frequency: int) -> None:
    texts = pd.Series(["a", "b", None, "a", "c", "a"] * 10, dtype=dtype)
    frame = pd.DataFrame({"t": texts, "u": pd.Series(["x", "y", "x"] * 20, dtype=dtype)})
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=min_frequency, sparse_output=False)
    branch = Pipeline([*word_imputers("none"), ("encode", encoder)])
    columns = ColumnTransformer([("texts", branch, ["t", "u"])])
    pipeline = Pipeline([("columns", columns), ("classify", LogisticRegression())])
    pipeline.fit(frame, [at % 7 < 3 for at in range(60)])
    asked = pd.DataFrame({"t": ["a", "c", None, math.nan, "none", "new"], "u": ["x", None, "y", "x", "z", "none"]})

    form = fold(pipeline, {"t": "string", "u": "string"})

    for kind in ("object", "str"):
        expected = pipeline.predict_proba(asked.astype(kind))[:, 1]
        found = form.probability({name: asked[name].tolist() for name in asked})
        assert found is not None
        assert np.abs(found - expected).max() <= TOLERANCE


def test_texts_that_are_filled_in_for_something_else_are_not_folded() -> None:
    frame = pd.DataFrame({"t": ["a", "b", "-"] * 10})
    for imputers in (
        [("dash", SimpleImputer(missing_values="-", strategy="constant", fill_value="none"))],
        [
            *word_imputers("none")[:1],
            ("none", SimpleImputer(missing_values=None, strategy="constant", fill_value="other")),
        ],
    ):
        branch = Pipeline([*imputers, ("encode", OneHotEncoder(handle_unknown="ignore", sparse_output=False))])
        pipeline = make_pipeline(ColumnTransformer([("texts", branch, ["t"])]), LogisticRegression())
        pipeline.fit(frame, [at % 2 for at in range(30)])

        with pytest.raises(NotLinear):
            fold(pipeline, {"t": "string"})


@pytest.mark.parametrize("seed", range(40))
def test_a_random_linear_pipeline_is_folded_and_equals_sklearn(seed: int) -> None:
    random_ = random.Random(seed)
    numbers = [f"n {at}" for at in range(random_.randint(0 if seed % 5 else 1, 6))]
    texts = [f"t{at}" for at in range(random_.randint(0 if numbers else 1, 3))]
    frame = random_frame(random_, 120, numbers, texts)
    target = np.array([random_.random() < 0.5 for _ in range(len(frame))])
    pipeline = random_pipeline(random_, numbers, texts).fit(frame, target)
    fresh = random_frame(random_, 60, numbers, texts)
    for name in texts:
        fresh.loc[::7, name] = "never seen"

    predictor = Predictor.of(loaded_with(pipeline, frame, texts))

    assert predictor.form is not None or not _has_scaler(pipeline)
    rows = fresh.astype(object).where(fresh.notna(), None).to_dict("records")
    expected = pipeline.predict_proba(fresh)[:, 1]
    assert np.abs(np.array(score(predictor, Table(len(rows), rows))["probabilities"]) - expected).max() <= TOLERANCE
    singly = [score(predictor, Table(1, [row]))["probabilities"][0] for row in rows]
    assert np.abs(np.array(singly) - expected).max() <= TOLERANCE
    if predictor.form is None:
        return
    explained = score(predictor, Table(len(rows), rows), explain=True)["explanation"]
    sums = [explained["base"] + sum(row.values()) for row in explained["contributions"]]
    assert np.abs(1 / (1 + np.exp(-np.array(sums))) - expected).max() <= TOLERANCE


def _has_scaler(pipeline: Pipeline) -> bool:
    """Without a scaler the weights may be such that sklearn's own digits run out, and the ordinary way is taken."""
    return "scale" in repr(pipeline)


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=1)),
        make_pipeline(FunctionTransformer(np.abs), LogisticRegression()),
        make_pipeline(MaxAbsScaler(), LogisticRegression()),
        make_pipeline(RobustScaler(), LogisticRegression()),
        make_pipeline(MinMaxScaler(clip=True), LogisticRegression()),
        make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()),
        LogisticRegression(),
    ],
)
def test_what_cannot_be_folded_takes_the_ordinary_way(pipeline: Any) -> None:
    frame = pd.DataFrame({"a": [float(number) for number in range(30)], "b": [1.0, -2.0, 3.0] * 10})
    pipeline.fit(frame, [number % 2 for number in range(30)])
    loaded = loaded_with(pipeline, frame, [])

    with pytest.raises(NotLinear):
        fold(pipeline, loaded.inputs)
    predictor = Predictor.of(loaded)
    found = score(predictor, Table(2, [{"a": 3, "b": 1}, {"a": 40.0, "b": -9}]))

    expected = pipeline.predict_proba(pd.DataFrame({"a": [3.0, 40.0], "b": [1.0, -9.0]}))[:, 1]
    assert predictor.form is None
    assert found["probabilities"] == expected.tolist()


_TEXT = pd.DataFrame({"t": ["a", "b", "c"] * 10})
_NUMBER = pd.DataFrame({"a": [float(number**2) for number in range(30)]})
_TWICE = [("mean", SimpleImputer()), ("median", SimpleImputer(strategy="median"))]
_REFUSING = OneHotEncoder(handle_unknown="error", sparse_output=False)


@pytest.mark.parametrize(
    ("frame", "step", "why"),
    [
        (_NUMBER, FeatureUnion(_TWICE), "column 'a' is imputed in two ways"),
        (_NUMBER, FeatureUnion(_TWICE[:1], transformer_weights={"mean": 2.0}), "a FeatureUnion has weights"),
        (_NUMBER, ColumnTransformer([("x", StandardScaler(), [0])]), "by something else than their names"),
        (
            _NUMBER,
            ColumnTransformer([("x", StandardScaler(), ["a"])], transformer_weights={"x": 2.0}),
            "a ColumnTransformer has weights",
        ),
        (_NUMBER, make_pipeline(StandardScaler(), SimpleImputer()), "an imputer comes behind something else"),
        (_NUMBER, MaxAbsScaler(), "MaxAbsScaler is not folded"),
        (_TEXT, _REFUSING, "an encoder refuses what training never saw"),
        (
            _TEXT,
            make_pipeline(OneHotEncoder(handle_unknown="ignore", sparse_output=False), StandardScaler()),
            "something comes behind an encoder",
        ),
    ],
)
def test_what_cannot_be_folded_is_named(frame: pd.DataFrame, step: Any, why: str) -> None:
    pipeline = make_pipeline(step, LogisticRegression()).fit(frame, [number % 2 for number in range(30)])

    with pytest.raises(NotLinear, match=why):
        fold(pipeline, dict.fromkeys(frame, "string" if frame is _TEXT else "double"))


def test_more_than_two_classes_are_not_folded() -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(_NUMBER, [number % 3 for number in range(30)])

    with pytest.raises(NotLinear, match="a logistic regression of two classes"):
        fold(pipeline, {"a": "double"})
