"""The paired interval covers what it should."""

from __future__ import annotations

import tracemalloc
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from ml.evaluation import bootstrap
from ml.evaluation.bootstrap import Pair, batches, can_tell, chance_of_luck, paired_gain, resampled

RNG = np.random.default_rng(0)
TARGET = (RNG.random(200) < 0.4).astype(float)
SCORES = np.round(np.clip(TARGET * 0.3 + RNG.random(200) * 0.7, 0, 1), 1)


def test_a_metric_that_is_not_defined_has_no_bounds() -> None:
    gain = paired_gain(Pair("roc_auc", np.ones(5), np.full(5, 0.5), np.full(5, 0.4)), 0.95, 1000)
    assert (gain.low, gain.high) == (-np.inf, np.inf)


def test_the_same_model_gains_exactly_nothing() -> None:
    gain = paired_gain(Pair("test_log_loss", TARGET, SCORES, SCORES), 0.95, 1000)

    assert (gain.estimate, gain.low, gain.high) == (0, 0, 0)


@pytest.mark.parametrize("metric", ["test_log_loss", "test_roc_auc"])
def test_a_gain_is_positive_where_the_first_is_better(metric: str) -> None:
    worse = np.clip(SCORES * 0.2 + RNG.random(200) * 0.8, 0.01, 0.99)
    better = np.clip(TARGET * 0.8 + 0.1, 0, 1)

    gain = paired_gain(Pair(metric, TARGET, better, worse), 0.95, 1000)

    assert 0 < gain.low <= gain.estimate <= gain.high
    assert paired_gain(Pair(metric, TARGET, worse, better), 0.95, 1000).high < 0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of two hundred samples, each with two models of the same accuracy, about 95 % of intervals hold the zero."""
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(200):
        target = (rng.random(150) < 0.5).astype(float)
        ours, theirs = (np.where(rng.random(150) < 0.8, target, 1 - target) for _ in range(2))
        gain = paired_gain(Pair("accuracy", target, ours, theirs), 0.95, 200)
        covered += gain.low <= 0 <= gain.high

    assert 180 <= covered <= 199


def test_the_same_rows_give_the_same_interval() -> None:
    other = np.clip(SCORES + 0.05, 0, 1)

    pair = Pair("brier", TARGET, SCORES, other)
    assert paired_gain(pair, 0.95, 1000) == paired_gain(pair, 0.95, 1000)


def test_the_bootstraps_memory_does_not_grow_with_the_rows() -> None:
    rows = 30_000
    rng = np.random.default_rng(1)
    target, ours = (rng.random(rows) < 0.4).astype(float), rng.random(rows)

    tracemalloc.start()
    paired_gain(Pair("average_precision", target, ours, rng.random(rows)), 0.95, 200)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 120_000_000


def test_an_interval_is_to_the_bit_what_it_was() -> None:
    gain = paired_gain(Pair("log_loss", TARGET, np.clip(SCORES, 0.01, 0.99), np.full(200, 0.4)), 0.95, 1000)

    assert [value.hex() for value in (gain.estimate, gain.low, gain.high)] == [
        "0x1.5011dd96741c8p-3",
        "0x1.a868883a8dcd7p-4",
        "0x1.c4b45c8f8ba46p-3",
    ]


@pytest.mark.parametrize("positives", [1, 2, 3, 5, 10, 50])
@pytest.mark.parametrize("has_ties", [False, True])
def test_random_scores_beat_a_dummy_as_rarely_as_is_said(positives: int, has_ties: bool) -> None:
    """At 95 % that is 2.5 % of trials: about 4 of 150, and 10 are three standard deviations more."""
    rng = np.random.default_rng(positives)
    target = (np.arange(120) < positives).astype(float)
    passed = 0
    for _ in range(150):
        scores = rng.random(120)
        chance = chance_of_luck(target, np.round(scores**4, 1) if has_ties else scores, 0.95, 200)
        passed += chance <= 0.025

    assert passed <= 10


def test_the_chance_of_luck_is_that_of_every_order() -> None:
    scores = np.array([0.9, 0.8, 0.8, 0.7, 0.5, 0.4, 0.4, 0.4, 0.3, 0.1])
    target = np.array([1, 0, 1, 0, 1, 0, 0, 0, 0, 0.0])
    areas = [sk.roc_auc_score(np.isin(np.arange(10), found), scores) for found in combinations(range(10), 3)]
    exact = np.mean(np.array(areas) >= sk.roc_auc_score(target, scores) - 1e-12)

    assert chance_of_luck(target, scores, 0.95, 10_000) == pytest.approx(exact, abs=0.01)
    # The same of the other class, with the scores turned round.
    assert chance_of_luck(1 - target, 1 - scores, 0.95, 10_000) == pytest.approx(exact, abs=0.01)


def test_rows_that_can_tell_nothing_are_known_beforehand() -> None:
    assert not can_tell(np.arange(30) < 1, 0.95)
    assert can_tell(np.arange(41) < 1, 0.95)
    assert not can_tell(np.arange(300) < 0, 0.95)
    assert can_tell(np.arange(600_000) < 300_000, 0.95)


@pytest.mark.parametrize(("drawn", "rows"), [(1000, 300), (250, 20_000), (200, 600_000), (7, 5_000_000), (3, 0)])
def test_every_resample_is_drawn_in_batches_that_fit(drawn: int, rows: int) -> None:
    sizes = list(batches(drawn, rows))

    assert sum(sizes) == drawn
    assert max(sizes) * rows <= 2_000_000 or max(sizes) == 1
    assert max(sizes) <= 100


def test_a_large_table_is_resampled_as_a_small_one_is() -> None:
    rows = 30_000

    # The first are drawn all at once, the others row after row.
    for weights in (next(resampled(rows, resamples)) for resamples in (660, 1000)):
        assert set(weights.sum(axis=1)) == {rows}
        assert weights.var() == pytest.approx(1, abs=0.01)
        assert (weights == 0).mean() == pytest.approx(np.exp(-1), abs=0.001)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.5])
def test_a_chance_that_is_not_drawn_is_the_one_that_drawing_finds(shift: float, monkeypatch: Any) -> None:
    rng = np.random.default_rng(4)
    target = (rng.random(2000) < 0.4).astype(float)
    scores = rng.random(2000) + shift * target

    found = chance_of_luck(target, scores, 0.95, 1000)
    monkeypatch.setattr(bootstrap, "_HOPELESS", np.inf)

    assert found == chance_of_luck(target, scores, 0.95, 1000)
