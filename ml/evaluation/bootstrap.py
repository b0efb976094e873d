"""The bootstrap over many resamples at once, and a permutation test. Pure.

A resample of n rows is a row of weights: how often each row was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import lgamma, log
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.metrics import metric_of, sign, weighted

Array = NDArray[np.float64]
_CELLS = 20_000_000
_MOST_DRAWS = 100_000
_HOPELESS = 100.0
"""A chance of at most exp(-100) for each draw."""
_AT_ONCE = 2_000_000
"""How many weights are in memory at once: resamples times rows. The metrics hold about six such tables, 100 MB."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds between which it lies with the confidence that was asked for."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Pair:
    """What two models say of the same rows, and the metric that they are compared by.

    The target is 0 or 1, `ours` and `theirs` are probabilities, each of shape (n_rows,).
    """

    metric: str
    target: Array
    ours: Array
    theirs: Array


def paired_gain(pair: Pair, confidence: float, resamples: int) -> Interval:
    """How much better the first model is than the second, also by a loss, with its bootstrap interval.

    The percentile interval of paired resamples (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
    13): both models are scored on the same drawn rows, so what is hard for both does not widen it. The seed is fixed,
    so that the same rows give the same verdict.
    """
    metric, target = pair.metric, pair.target
    gains = [
        weighted(metric, target, pair.ours, weights) - weighted(metric, target, pair.theirs, weights)
        for weights in resampled(len(target), resamples)
    ]
    low, high = bounds(sign(metric) * np.concatenate(gains), confidence)
    gain = metric_of(metric, target, pair.ours) - metric_of(metric, target, pair.theirs)
    return Interval(sign(metric) * gain, low, high)


def resampled(rows: int, resamples: int, seed: int = 0) -> Iterator[Array]:
    """The weights of resamples, some at a time: shape (n_resamples, n_rows). The same seed draws the same ones.

    A large table, whose interval is narrow anyway, gets fewer of them.
    """
    rng = np.random.default_rng(20_260_101 + seed)
    most = _CELLS // max(rows, 1)
    for size in batches(max(200, min(resamples, most)), rows):
        if most >= resamples:
            yield rng.multinomial(rows, np.full(rows, 1 / rows), size=size).astype(float)
        else:
            # The same by drawing row after row and counting, which is five times faster for so many.
            drawn = (np.bincount(rng.integers(rows, size=rows), minlength=rows) for _ in range(size))
            yield np.array(list(drawn), dtype=float)


def bounds(values: Array, confidence: float) -> tuple[float, float]:
    """The percentile interval of what was found on each resample; without bounds where it is defined on none."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return -np.inf, np.inf
    side = one_side(confidence) * 100
    low, high = np.percentile(defined, [side, 100 - side])
    return float(low), float(high)


def chance_of_luck(target: Array, score: Array, confidence: float, resamples: int) -> float:
    """How often rows in random order would be ranked as well: the one-sided p-value of the ROC AUC against one half.

    A permutation test, whose error is the stated one at any number of positives and with any ties (Phipson and Smyth,
    Permutation p-values should never be zero, 2010): the ranks of the rarer class are drawn again and again, but for
    large tables at least `resamples` times, and more often for a higher confidence. The seed comes from the ranks and
    labels, so that the same rows give the same answer and no data set is bound to the luck of one seed.

    The target is 0 or 1, the score the higher the more likely 1, each of shape (n_rows,). The answer is above 0 and at
    most 1; 1 where a class is missing.
    """
    import pandas as pd

    positive = np.asarray(target) == 1
    rows, positives = len(positive), int(positive.sum())
    # The same question of the rarer class, for which fewer ranks are drawn.
    rarer, scores = (positive, np.asarray(score)) if 2 * positives <= rows else (~positive, -np.asarray(score))
    ranks = pd.Series(scores).rank().to_numpy()
    count = int(rarer.sum())
    if not count:
        return 1.0
    enough = min(int(10 / one_side(confidence)) + 1, _MOST_DRAWS)
    drawn = max(enough, min(resamples, _CELLS // rows))
    rank_sum = ranks[rarer].sum()
    # Where not one of so many draws could reach it by any luck, none is made (Hoeffding 1963, theorems 2 and 4).
    above = max(0.0, rank_sum / count - (rows + 1) / 2)
    if 2 * count * (above / rows) ** 2 > _HOPELESS:
        return 1 / (drawn + 1)
    rng = np.random.default_rng(crc32(ranks.tobytes() + positive.tobytes()))
    as_good = sum(bool(ranks[rng.choice(rows, count, replace=False)].sum() >= rank_sum) for _ in range(drawn))
    return (as_good + 1) / (drawn + 1)


def one_side(confidence: float) -> float:
    """The error on one side of an interval: 0.025 of 95 %."""
    return (1 - confidence) / 2


def can_tell(target: Array, confidence: float) -> bool:
    """Whether a perfect ranking of so many rows of each class would be rarer by chance than the error allows."""
    rows, positives = len(target), int(np.sum(target))
    orders = lgamma(rows + 1) - lgamma(positives + 1) - lgamma(rows - positives + 1)
    return -orders <= log(one_side(confidence))


def batches(drawn: int, rows: int) -> Iterator[int]:
    """How many resamples at a time, so that memory does not grow with the rows."""
    most = max(1, min(100, _AT_ONCE // max(rows, 1)))
    for begin in range(0, drawn, most):
        yield min(most, drawn - begin)
