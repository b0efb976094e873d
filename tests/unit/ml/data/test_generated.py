"""The generated data set has the statistics of the public one."""

from __future__ import annotations

import pandas as pd
import pytest

from ml.config.schema import PipelineConfig
from ml.data.generated import generate
from ml.digest import digest_of
from ml.evaluation import metrics
from ml.reading import contract
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline

# Mean and standard deviation of the public advertising data set, and its ranges.
STATISTICS = {
    "Daily Time Spent on Site": (65.0002, 15.8536, 32.60, 91.43),
    "Age": (36.009, 8.7856, 19, 61),
    "Area Income": (55000.00, 13414.634, 13996.50, 79484.80),
    "Daily Internet Usage": (180.0001, 43.9024, 104.78, 269.96),
}


def test_it_has_the_statistics_of_the_public_data_set() -> None:
    frame = generate(1000, 42)

    for column, (mean, deviation, low, high) in STATISTICS.items():
        assert frame[column].mean() == pytest.approx(mean, rel=0.005)
        assert frame[column].std() == pytest.approx(deviation, rel=0.02)
        assert low <= frame[column].min()
        assert frame[column].max() <= high
    assert frame["Male"].mean() == pytest.approx(0.481, abs=0.05)
    assert frame["Clicked on Ad"].value_counts().to_dict() == {0: 500, 1: 500}


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    pd.testing.assert_frame_equal(generate(100, 1), generate(100, 1))
    assert not generate(100, 1).equals(generate(100, 2))


@pytest.mark.parametrize("rows", [20, 21, 5000])
def test_it_keeps_the_contract_at_any_size(rows: int) -> None:
    frame = generate(rows, 3)

    assert len(frame) == rows
    assert list(frame.columns) == list(PipelineConfig().contract)
    contract.check(frame, PipelineConfig(), "generated")


def test_the_target_depends_on_the_features_as_in_the_public_data_set() -> None:
    config, frame = PipelineConfig(), generate(1000, 42)
    roles = preprocess.decide_roles(frame, config)
    train, test = preprocess.split_rows(frame, config)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)

    pipeline = build_pipeline(config, roles).fit(features.iloc[train], target.iloc[train])
    found = metrics.metrics(target.iloc[test], metrics.probabilities(pipeline, features.iloc[test]), "test")

    assert 0.93 <= found["test_accuracy"] <= 0.99


def test_a_seed_gives_the_same_rows_in_every_release() -> None:
    assert digest_of(generate(1000, 42)) == "a14bcd202ba1c9457e3a9acf18ff11f4"
