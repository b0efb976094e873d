"""The metrics of many resamples at once, the paired bootstrap over them, and a permutation test. Pure; numpy alone.

A resample of n rows is a row of weights: how often each row was drawn. With weights every metric is a few sums, so a
thousand resamples cost about as much as a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import lgamma, log
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.metrics import LESS_IS_BETTER

Array = NDArray[np.float64]
_CELLS = 20_000_000
_MOST_DRAWS = 100_000
_AT_ONCE = 2_000_000
"""How many weights are in memory at once: resamples times rows. The metrics hold about six such tables, 100 MB."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds between which it lies with the confidence that was asked for."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Draw:
    """The confidence of an interval, and how many resamples it is found from."""

    confidence: float = 0.95
    resamples: int = 1000


def sign(metric: str) -> int:
    """1 where more is better, -1 where less is."""
    return -1 if metric.removeprefix("test_") in LESS_IS_BETTER else 1


def metric_of(metric: str, target: Array, probability: Array) -> float:
    """One metric of all rows; NaN where it is not defined, as the ROC AUC of a single class."""
    return float(weighted(metric, target, probability, np.ones((1, len(target))))[0])


def weighted(metric: str, target: Array, probability: Array, weights: Array) -> Array:
    """A metric as scikit-learn defines it (at a threshold of one half), for each row of weights.

    Args:
        metric: Its name, with or without `test_`.
        target: 0 or 1, shape (n_rows,).
        probability: Of class 1, shape (n_rows,).
        weights: How often each row counts, shape (n_resamples, n_rows).

    Returns:
        Shape (n_resamples,).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return _METRICS[metric.removeprefix("test_")](
            np.asarray(target, dtype=float), np.asarray(probability, dtype=float), weights
        )


def _mean(values: Array, weights: Array) -> Array:
    found: Array = weights @ values / weights.sum(axis=1)
    return found


def _accuracy(target: Array, probability: Array, weights: Array) -> Array:
    return _mean(((probability > 0.5) == (target == 1)).astype(float), weights)


def _brier(target: Array, probability: Array, weights: Array) -> Array:
    return _mean((probability - target) ** 2, weights)


def _log_loss(target: Array, probability: Array, weights: Array) -> Array:
    tiny = np.finfo(float).eps
    of_truth = np.clip(np.where(target == 1, probability, 1 - probability), tiny, 1 - tiny)
    return _mean(-np.log(of_truth), weights)


def _ratio(above: Array, below: Array) -> Array:
    return np.where(below > 0, above / np.where(below > 0, below, 1), 0.0)


def _counts(target: Array, probability: Array, weights: Array) -> tuple[Array, Array, Array]:
    said = probability > 0.5
    return weights @ (said & (target == 1)), weights @ said.astype(float), weights @ target


def _precision(target: Array, probability: Array, weights: Array) -> Array:
    right, said, _ = _counts(target, probability, weights)
    return _ratio(right, said)


def _recall(target: Array, probability: Array, weights: Array) -> Array:
    right, _, there = _counts(target, probability, weights)
    return _ratio(right, there)


def _f1(target: Array, probability: Array, weights: Array) -> Array:
    right, said, there = _counts(target, probability, weights)
    return _ratio(2 * right, said + there)


def _by_score(target: Array, probability: Array, weights: Array) -> tuple[Array, Array]:
    """The weights of the positives and of the negatives by score, the highest first: (n_resamples, n_scores) each."""
    _, place = np.unique(-probability, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    positive = np.add.reduceat((weights * target)[:, order], starts, axis=1)
    negative = np.add.reduceat((weights * (1 - target))[:, order], starts, axis=1)
    return positive, negative


def _roc_auc(target: Array, probability: Array, weights: Array) -> Array:
    # The chance that a positive scores higher than a negative, ties counted half (Mann and Whitney 1947).
    positive, negative = _by_score(target, probability, weights)
    above = positive.cumsum(axis=1) - positive / 2
    found: Array = (above * negative).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))
    return found


def _average_precision(target: Array, probability: Array, weights: Array) -> Array:
    positive, negative = _by_score(target, probability, weights)
    right, said = positive.cumsum(axis=1), (positive + negative).cumsum(axis=1)
    found: Array = (_ratio(right, said) * positive).sum(axis=1) / positive.sum(axis=1)
    return found


_METRICS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
}


def paired_gain(metric: str, target: Array, ours: Array, theirs: Array, draw: Draw) -> Interval:
    """How much better one model is than another on the same rows, with its bootstrap interval.

    The percentile interval of paired resamples (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
    13): both models are scored on the same drawn rows, so what is hard for both does not widen it. The seed is fixed,
    so that the same rows give the same verdict.

    Args:
        metric: The metric's name.
        target: 0 or 1, shape (n_rows,).
        ours: The probabilities of the one, shape (n_rows,).
        theirs: Those of the other.
        draw: How it is drawn; a large table, whose interval is narrow anyway, gets fewer resamples.

    Returns:
        Positive is better, also where less of the metric is.
    """
    target = np.asarray(target, dtype=float)
    rows = len(target)
    rng = np.random.default_rng(20_260_101)
    drawn = max(200, min(draw.resamples, _CELLS // max(rows, 1)))
    gains: list[Array] = []
    for size in batches(drawn, rows):
        weights = rng.multinomial(rows, np.full(rows, 1 / rows), size=size).astype(float)
        gains.append(weighted(metric, target, ours, weights) - weighted(metric, target, theirs, weights))
    side = one_side(draw.confidence) * 100
    found = sign(metric) * np.concatenate(gains)
    found = found[np.isfinite(found)]
    estimate = sign(metric) * (metric_of(metric, target, ours) - metric_of(metric, target, theirs))
    if not len(found):
        return Interval(estimate, -np.inf, np.inf)
    low, high = np.percentile(found, [side, 100 - side])
    return Interval(float(estimate), float(low), float(high))


def chance_of_luck(target: Array, score: Array, draw: Draw) -> float:
    """How often rows in random order would be ranked as well: the one-sided p-value of the ROC AUC against one half.

    A permutation test, whose error is the stated one at any number of positives and with any ties (Phipson and Smyth,
    Permutation p-values should never be zero, 2010): the ranks of the rarer class are drawn again and again. The seed
    comes from the ranks and labels, so that the same rows give the same answer and no data set is bound to the luck of
    one seed.

    Args:
        target: 0 or 1, shape (n_rows,).
        score: The higher, the more likely 1, shape (n_rows,).
        draw: How it is drawn; more often where the confidence asks for it.

    Returns:
        Above 0, at most 1; 1 where a class is missing.
    """
    positive = np.asarray(target) == 1
    rows, positives = len(positive), int(positive.sum())
    # The same question of the rarer class, for which fewer ranks are drawn.
    rarer, ranks = (positive, _ranks(score)) if 2 * positives <= rows else (~positive, _ranks(-np.asarray(score)))
    count = int(rarer.sum())
    if not count:
        return 1.0
    rng = np.random.default_rng(crc32(ranks.tobytes() + positive.tobytes()))
    enough = min(int(10 / one_side(draw.confidence)) + 1, _MOST_DRAWS)
    drawn = max(enough, min(draw.resamples, _CELLS // rows))
    found = ranks[rarer].sum()
    as_good = sum(bool(ranks[rng.choice(rows, count, replace=False)].sum() >= found) for _ in range(drawn))
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


def _ranks(score: Array) -> Array:
    """The rank of each row, the lowest score first; rows with the same score share the middle of their ranks."""
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks: Array = (counts.cumsum() - (counts - 1) / 2)[place]
    return ranks
