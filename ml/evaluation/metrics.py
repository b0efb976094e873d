"""The metrics, one table: each is a few sums over weighted rows, so that a thousand resamples cost a matrix product.

Pure, and light: the configuration takes the names from here whenever Airflow parses a DAG.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


def _mean(values: Array, weights: Array) -> Array:
    means: Array = weights @ values / weights.sum(axis=1)
    return means


def _accuracy(target: Array, probability: Array, weights: Array) -> Array:
    return _mean(((probability > 0.5) == (target == 1)).astype(float), weights)


def _brier(target: Array, probability: Array, weights: Array) -> Array:
    return _mean((probability - target) ** 2, weights)


def _log_loss(target: Array, probability: Array, weights: Array) -> Array:
    import numpy as np

    tiny = np.finfo(float).eps
    of_truth = np.clip(np.where(target == 1, probability, 1 - probability), tiny, 1 - tiny)
    return _mean(-np.log(of_truth), weights)


def _ratio(above: Array, below: Array) -> Array:
    import numpy as np

    return np.where(below > 0, above / np.where(below > 0, below, 1), 0.0)


def _counts(target: Array, probability: Array, weights: Array) -> tuple[Array, Array, Array]:
    """The true positives, those predicted, and those there are."""
    predicted = probability > 0.5
    return weights @ (predicted & (target == 1)), weights @ predicted.astype(float), weights @ target


def _precision(target: Array, probability: Array, weights: Array) -> Array:
    right, predicted, _ = _counts(target, probability, weights)
    return _ratio(right, predicted)


def _recall(target: Array, probability: Array, weights: Array) -> Array:
    right, _, actual = _counts(target, probability, weights)
    return _ratio(right, actual)


def _f1(target: Array, probability: Array, weights: Array) -> Array:
    right, predicted, actual = _counts(target, probability, weights)
    return _ratio(2 * right, predicted + actual)


def _by_score(target: Array, probability: Array, weights: Array) -> tuple[Array, Array]:
    """The weights of the positives and of the negatives by score, the highest first: (n_resamples, n_scores) each."""
    import numpy as np

    order = np.argsort(-probability)
    starts = np.flatnonzero(np.diff(probability[order], prepend=np.inf))
    positive = np.add.reduceat((weights * target)[:, order], starts, axis=1)
    negative = np.add.reduceat((weights * (1 - target))[:, order], starts, axis=1)
    return positive, negative


def _roc_auc(target: Array, probability: Array, weights: Array) -> Array:
    # The chance that a positive scores higher than a negative, ties counted half (Mann and Whitney 1947).
    positive, negative = _by_score(target, probability, weights)
    above = positive.cumsum(axis=1) - positive / 2
    areas: Array = (above * negative).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))
    return areas


def _average_precision(target: Array, probability: Array, weights: Array) -> Array:
    positive, negative = _by_score(target, probability, weights)
    right, said = positive.cumsum(axis=1), (positive + negative).cumsum(axis=1)
    means: Array = (_ratio(right, said) * positive).sum(axis=1) / positive.sum(axis=1)
    return means


@dataclass(frozen=True)
class _Metric:
    """A function of target (n_rows,), probability (n_rows,) and weights (n_resamples, n_rows), and its direction."""

    of: Callable[[Array, Array, Array], Array]
    is_loss: bool = False


_METRICS = {
    "accuracy": _Metric(_accuracy),
    "precision": _Metric(_precision),
    "recall": _Metric(_recall),
    "f1": _Metric(_f1),
    "roc_auc": _Metric(_roc_auc),
    "average_precision": _Metric(_average_precision),
    "log_loss": _Metric(_log_loss, is_loss=True),
    "brier": _Metric(_brier, is_loss=True),
}
NAMES = tuple(_METRICS)
SHOWN = {"test_roc_auc": "ROC AUC", "test_accuracy": "accuracy", "test_f1": "F1", "test_log_loss": "log loss"}
"""Those that a table has room for, and what a page calls them; JSON has all of them."""


def sign(metric: str) -> int:
    """1 where more is better, -1 where less is."""
    return -1 if _METRICS[metric.removeprefix("test_")].is_loss else 1


def weighted(metric: str, target: ArrayLike, probability: ArrayLike, weights: Array) -> Array:
    """A metric as scikit-learn defines it (at a threshold of one half), for each row of weights: shape (n_resamples,).

    Its name may begin with `test_`. The target is 0 or 1, the probability that of class 1, each of shape (n_rows,); the
    weights, of shape (n_resamples, n_rows), tell how often each row counts.
    """
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return _METRICS[metric.removeprefix("test_")].of(
            np.asarray(target, dtype=float), np.asarray(probability, dtype=float), weights
        )


def metric_of(metric: str, target: ArrayLike, probability: ArrayLike) -> float:
    """One metric of all rows; NaN where it is not defined, as the ROC AUC of a single class."""
    import numpy as np

    return float(weighted(metric, target, probability, np.ones((1, np.size(target))))[0])


def metrics(target: pd.Series, probability: np.ndarray, part: str) -> dict[str, float]:
    """Every metric of a part, as `{part}_accuracy` and so on, in the order of `NAMES`.

    The target is 0 or 1, both present, the probability that of class 1, each of shape (n_rows,).
    """
    return {f"{part}_{name}": metric_of(name, target, probability) for name in NAMES}


def probabilities(pipeline: Any, features: pd.DataFrame) -> np.ndarray:
    """The probability of the positive class for each row: shape (n_rows,), from 0 to 1."""
    ones: np.ndarray = pipeline.predict_proba(features)[:, 1]
    return ones
