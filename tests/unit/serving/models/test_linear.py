"""One matrix product predicts what sklearn predicts, or leaves it to sklearn where rounding would show."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest

from serving.api.scoring import score
from serving.api.table import Table
from serving.models.predictor import TOLERANCE, Predictor
from tests.fakes import loaded_with, random_frame, random_pipeline


@pytest.mark.parametrize("seed", range(10))
def test_columns_whose_digits_run_out_equal_sklearn_too(seed: int) -> None:
    random_ = random.Random(seed)
    names = ["a", "b", "c"]
    frame = random_frame(random_, 100, names, [], least=1e-9)
    pipeline = random_pipeline(random_, names, []).fit(frame, [number % 2 for number in range(100)])
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")

    found = score(Predictor.of(loaded_with(pipeline, frame, [])), Table(100, rows))["probabilities"]

    assert np.abs(np.array(found) - pipeline.predict_proba(frame)[:, 1]).max() <= TOLERANCE


@pytest.mark.parametrize("value", [1e99, -1e99, 1e12, -1e12, 0.0, 5e-324])
def test_numbers_far_from_all_that_was_seen_equal_sklearn(value: float) -> None:
    random_ = random.Random(7)
    frame = random_frame(random_, 100, ["a", "b"], [])
    pipeline = random_pipeline(random_, ["a", "b"], []).fit(frame, [number % 2 for number in range(100)])
    predictor = Predictor.of(loaded_with(pipeline, frame, []))

    found = score(predictor, Table(2, [{"a": value, "b": 1.0}, {"a": value, "b": -value}]))

    expected = pipeline.predict_proba(pd.DataFrame({"a": [value, value], "b": [1.0, -value]}))[:, 1]
    assert np.abs(np.array(found["probabilities"]) - expected).max() <= TOLERANCE
