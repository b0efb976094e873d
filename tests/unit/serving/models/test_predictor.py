"""A version predicts by its folded form, and by sklearn where it has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ml.registry.loading import LoadedModel
from serving.models.predictor import Predictor, by_sklearn, example_columns
from tests.fakes import loaded_with


def test_a_missing_number_is_taken_where_the_model_imputes_and_refused_where_not() -> None:
    frame = pd.DataFrame({"a": [float(number) for number in range(30)]})
    target = [number % 2 for number in range(30)]
    bare = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, target)
    forest = RandomForestClassifier(5, random_state=1).fit(frame, target)
    imputing = make_pipeline(SimpleImputer(), LogisticRegression()).fit(frame, target)

    nullable = [Predictor.of(loaded_with(one, frame, [])).nullable for one in (bare, forest, imputing)]

    assert nullable == [frozenset(), frozenset({"a"}), frozenset({"a"})]


class Off(Pipeline):
    """Says a little more than its steps come to."""

    off = 0.0

    def predict_proba(self, X: Any, **params: Any) -> Any:
        return super().predict_proba(X, **params) + self.off


@pytest.mark.parametrize(("off", "is_folded"), [(0.0, True), (1e-13, True), (1e-11, False), (np.nan, False)])
def test_a_form_is_used_if_the_example_comes_out_the_same(off: float, is_folded: bool) -> None:
    frame = pd.DataFrame({"a": [float(number) for number in range(30)]})
    pipeline = Off([("scale", StandardScaler()), ("classify", LogisticRegression())])
    pipeline.fit(frame, [number % 2 for number in range(30)]).off = off
    loaded = loaded_with(pipeline, frame, [])

    assert (Predictor.of(loaded).form is not None) is is_folded
    assert Predictor.of(replace(loaded, input_example=[])).form is None


def test_a_pipeline_that_nobody_foresaw_predicts_by_sklearn(
    model: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    class Unfitted:
        steps = (("classify", LogisticRegression()),)

    assert Predictor.of(replace(model, pipeline=Unfitted(), input_example=[])).form is None
    assert "model=ad-click version 7 cannot be folded and predicts by sklearn" in caplog.text


def test_only_what_the_form_declines_is_asked_elsewhere(model: LoadedModel) -> None:
    asked: list[Any] = []

    def elsewhere(columns: Any) -> Any:
        asked.append(columns)
        return np.array([0.25])

    own, example = Predictor.of(model), example_columns(model)
    predictor = replace(own, elsewhere=elsewhere)

    expected = by_sklearn(model, example)
    assert np.abs(predictor.probability(example) - expected).max() <= 1e-12
    assert asked == []
    without_form = replace(predictor, form=None)
    assert without_form.probability(example).tolist() == [0.25]
    assert asked == [example]
    assert replace(own, form=None).probability(example).tolist() == expected.tolist()


def test_a_version_that_is_not_linear_has_no_shares(model: LoadedModel) -> None:
    predictor, example = Predictor.of(model), example_columns(model)

    assert replace(predictor, form=None).contributions(example) is None
    found = predictor.contributions(example)
    assert found
    assert [set(row) for row in found[1]] == [set(model.inputs)] * len(model.input_example)


def test_the_headers_name_the_version(model: LoadedModel) -> None:
    assert Predictor.of(model).head == (("X-Model-Name", "ad-click"), ("X-Model-Version", "7"))
