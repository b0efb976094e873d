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

from ml.registry.loading import LoadedModel
from serving.api.scoring import score
from serving.api.table import Table
from serving.models.folding import NotLinear, fold
from serving.models.predictor import TOLERANCE, Predictor

SCALERS = (StandardScaler, MinMaxScaler)


def _frame(
    random_: random.Random, rows: int, numbers: list[str], texts: list[str], least: float = 0.02
) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in numbers:
        middle = random_.choice([-1, 1]) * 10 ** random_.uniform(-2, 4)
        width = abs(middle) * 10 ** random_.uniform(math.log10(least), 1)
        values = [random_.gauss(middle, width) for _ in range(rows)]
        columns[name] = [math.nan if random_.random() < 0.05 else value for value in values]
    for name in texts:
        values = [random_.choice(["red", "green", "blue", "x y", "grün", "rare"]) for _ in range(rows)]
        columns[name] = pd.Series([math.nan if random_.random() < 0.05 else value for value in values], dtype=object)
    return pd.DataFrame(columns)


def _pipeline(random_: random.Random, numbers: list[str], texts: list[str]) -> Pipeline:
    scalers = random_.sample(SCALERS, random_.randint(0, 2))
    branch: list[Any] = [
        ("impute", SimpleImputer(strategy=random_.choice(["mean", "median"]), keep_empty_features=True))
    ]
    if scalers:
        branch.append(("scale", FeatureUnion([(one.__name__, one()) for one in scalers])))
    branches: list[Any] = [("numbers", Pipeline(branch), numbers)] if numbers else []
    if texts:
        encoder = OneHotEncoder(
            handle_unknown=random_.choice(["ignore", "infrequent_if_exist"]), sparse_output=random_.random() < 0.5,
            min_frequency=random_.choice([None, 5]), drop=random_.choice([None, "if_binary"]),
        )  # fmt: skip
        branches.append(("texts", encoder, texts))
        if random_.random() < 0.5:
            word = random_.choice(["red", "none", ""])
            branches[-1] = ("texts", Pipeline([*_fills(word), ("encode", encoder)]), texts)
    random_.shuffle(branches)
    return Pipeline(
        [
            ("columns", ColumnTransformer(branches)),
            ("classify", LogisticRegression(C=10 ** random_.uniform(-2, 2), max_iter=2000)),
        ]
    )


def _fills(word: str) -> list[tuple[str, SimpleImputer]]:
    """What fills in a word for a missing text, however a missing one is said."""
    options: dict[str, Any] = {"strategy": "constant", "fill_value": word, "keep_empty_features": True}
    return [
        ("missing", SimpleImputer(missing_values=math.nan, **options)),
        ("none", SimpleImputer(missing_values=None, **options)),
    ]


@pytest.mark.parametrize("min_frequency", [1, 30])
@pytest.mark.parametrize("dtype", ["object", "str"])
def test_a_missing_text_that_is_filled_in_is_folded(dtype: str, min_frequency: int) -> None:
    texts = pd.Series(["a", "b", None, "a", "c", "a"] * 10, dtype=dtype)
    frame = pd.DataFrame({"t": texts, "u": pd.Series(["x", "y", "x"] * 20, dtype=dtype)})
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=min_frequency, sparse_output=False)
    branch = Pipeline([*_fills("none"), ("encode", encoder)])
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
        [*_fills("none")[:1], ("none", SimpleImputer(missing_values=None, strategy="constant", fill_value="other"))],
    ):
        branch = Pipeline([*imputers, ("encode", OneHotEncoder(handle_unknown="ignore", sparse_output=False))])
        pipeline = make_pipeline(ColumnTransformer([("texts", branch, ["t"])]), LogisticRegression())
        pipeline.fit(frame, [at % 2 for at in range(30)])

        with pytest.raises(NotLinear):
            fold(pipeline, {"t": "string"})


def _loaded(pipeline: Any, frame: pd.DataFrame, texts: list[str]) -> LoadedModel:
    inputs = {name: "string" if name in texts else "double" for name in frame.columns}
    example = frame.head(5).astype(object).where(frame.head(5).notna(), None).to_dict("records")
    return LoadedModel("m", "1", "r", pipeline, inputs, example, "", "")


@pytest.mark.parametrize("seed", range(40))
def test_a_random_linear_pipeline_is_folded_and_equals_sklearn(seed: int) -> None:
    random_ = random.Random(seed)
    numbers = [f"n {at}" for at in range(random_.randint(0 if seed % 5 else 1, 6))]
    texts = [f"t{at}" for at in range(random_.randint(0 if numbers else 1, 3))]
    frame = _frame(random_, 120, numbers, texts)
    target = np.array([random_.random() < 0.5 for _ in range(len(frame))])
    pipeline = _pipeline(random_, numbers, texts).fit(frame, target)
    fresh = _frame(random_, 60, numbers, texts)
    for name in texts:
        fresh.loc[::7, name] = "never seen"

    predictor = Predictor.of(_loaded(pipeline, frame, texts))

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


@pytest.mark.parametrize("seed", range(10))
def test_columns_whose_digits_run_out_equal_sklearn_too(seed: int) -> None:
    random_ = random.Random(seed)
    names = ["a", "b", "c"]
    frame = _frame(random_, 100, names, [], least=1e-9)
    pipeline = _pipeline(random_, names, []).fit(frame, [number % 2 for number in range(100)])
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")

    found = score(Predictor.of(_loaded(pipeline, frame, [])), Table(100, rows))["probabilities"]

    assert np.abs(np.array(found) - pipeline.predict_proba(frame)[:, 1]).max() <= TOLERANCE


@pytest.mark.parametrize("value", [1e99, -1e99, 1e12, -1e12, 0.0, 5e-324])
def test_numbers_far_from_all_that_was_seen_equal_sklearn(value: float) -> None:
    random_ = random.Random(7)
    frame = _frame(random_, 100, ["a", "b"], [])
    pipeline = _pipeline(random_, ["a", "b"], []).fit(frame, [number % 2 for number in range(100)])
    predictor = Predictor.of(_loaded(pipeline, frame, []))

    found = score(predictor, Table(2, [{"a": value, "b": 1.0}, {"a": value, "b": -value}]))

    expected = pipeline.predict_proba(pd.DataFrame({"a": [value, value], "b": [1.0, -value]}))[:, 1]
    assert np.abs(np.array(found["probabilities"]) - expected).max() <= TOLERANCE


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
    loaded = _loaded(pipeline, frame, [])

    with pytest.raises(NotLinear):
        fold(pipeline, loaded.inputs)
    predictor = Predictor.of(loaded)
    found = score(predictor, Table(2, [{"a": 3, "b": 1}, {"a": 40.0, "b": -9}]))

    expected = pipeline.predict_proba(pd.DataFrame({"a": [3.0, 40.0], "b": [1.0, -9.0]}))[:, 1]
    assert predictor.form is None
    assert found["probabilities"] == expected.tolist()


def test_a_missing_number_is_taken_where_the_model_imputes_and_refused_where_not() -> None:
    frame = pd.DataFrame({"a": [float(number) for number in range(30)]})
    target = [number % 2 for number in range(30)]
    bare = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, target)
    forest = RandomForestClassifier(5, random_state=1).fit(frame, target)
    imputing = make_pipeline(SimpleImputer(), LogisticRegression()).fit(frame, target)

    nullable = [Predictor.of(_loaded(one, frame, [])).nullable for one in (bare, forest, imputing)]

    assert nullable == [frozenset(), frozenset({"a"}), frozenset({"a"})]
