"""How a model does by cross-validation, by the number of rows, and by the threshold. Pure."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ml.evaluation.leakage import alone
from ml.evaluation.metrics import metrics, probabilities

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Series = dict[str, list[tuple[int, float]]]
"""Points (x as a whole number, y) by the metric's name."""
FRACTIONS = (0.2, 0.5, 1.0)
CURVE_FOLDS = 3
MAX_CURVE_ROWS = 20_000
THRESHOLDS = range(0, 101, 2)
MAX_IMPORTANCES = 100
_SCREENED_ROWS = 2000
_MANY_CELLS, _MOST_CELLS = 500_000, 20_000_000


def folds_for(target: pd.Series, folds: int) -> int:
    """So many folds that each has both classes; 0 where that cannot be."""
    rarest = int(target.value_counts().min()) if target.nunique() == 2 else 0
    count = min(folds, rarest)
    return count if count >= 2 else 0


def splitter(folds: int, seed: int) -> Any:
    """Stratified folds of rows in an order that the seed gives."""
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(folds, shuffle=True, random_state=seed)


def validation(pipeline: Any, features: pd.DataFrame, target: pd.Series, folds: int, seed: int) -> dict[str, float]:
    """The metrics by cross-validation on the training part, as `validation_accuracy` and so on.

    Each row is predicted by a clone of the model that was fitted on the other folds; the metrics are those of all rows
    together. There are fewer folds where a class has fewer rows, and no metrics where there cannot be two. The features
    are of shape (n_rows, n_features), the target is 0 or 1, of shape (n_rows,); the seed is the folds'.
    """
    import numpy as np
    from sklearn.base import clone

    count = folds_for(target, folds)
    if not count:
        return {}
    probability = np.empty(len(target))

    def predict(fold: tuple[np.ndarray, np.ndarray]) -> None:
        taught, asked = fold
        fitted = clone(pipeline).fit(features.iloc[taught], target.iloc[taught])
        probability[asked] = probabilities(fitted, features.iloc[asked])

    # Arithmetic on many rows needs no lock of Python's; more threads would each hold another copy of them.
    threads = 2 if _MANY_CELLS <= features.size <= _MOST_CELLS else 1
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(predict, splitter(count, seed).split(features, target)))
    return metrics(target, probability, "validation")


def learning(pipeline: Any, features: pd.DataFrame, target: pd.Series, seed: int) -> Series:
    """The log loss in training and validation by the number of training rows (3 folds, at most 20,000 rows).

    As `learning/train_log_loss` and `learning/validation_log_loss`; empty where there are too few rows.
    """
    import numpy as np
    from sklearn.model_selection import learning_curve

    if len(target) > MAX_CURVE_ROWS:
        kept = np.sort(np.random.default_rng(seed).choice(len(target), MAX_CURVE_ROWS, replace=False))
        features, target = features.iloc[kept], target.iloc[kept]
    if folds_for(target, CURVE_FOLDS) < CURVE_FOLDS:
        return {}
    # The smallest part may have one class alone, or too few rows to come to an end; its point is left out.
    with warnings.catch_warnings(action="ignore"):
        rows, train, valid = learning_curve(
            pipeline, features, target, train_sizes=list(FRACTIONS), cv=splitter(CURVE_FOLDS, seed),
            scoring="neg_log_loss", shuffle=True, random_state=seed, error_score=np.nan,
        )  # fmt: skip
    losses = {"train": -train.mean(axis=1), "validation": -valid.mean(axis=1)}
    return {
        f"learning/{name}_log_loss": [
            (int(count), float(value)) for count, value in zip(rows, means, strict=True) if np.isfinite(value)
        ]
        for name, means in losses.items()
    }


def threshold(target: pd.Series, probability: np.ndarray) -> Series:
    """Precision, recall, F1 and accuracy by the threshold, in percent, on the test part.

    The target is 0 or 1, the probability that of class 1, each of shape (n_rows,).
    """
    import numpy as np

    # By one count of the rows at each threshold: the metrics of the table would count them anew, each by itself.
    truth = target.to_numpy().astype(bool)
    positives = int(truth.sum())
    series: Series = {f"threshold/{name}": [] for name in ("precision", "recall", "f1", "accuracy")}
    for percent in THRESHOLDS:
        predicted = probability > percent / 100
        hits, predicted_count = int((predicted & truth).sum()), int(predicted.sum())
        values = {
            "precision": hits / max(1, predicted_count),
            "recall": hits / max(1, positives),
            "f1": 2 * hits / max(1, predicted_count + positives),
            "accuracy": float(np.mean(predicted == truth)),
        }
        for name, value in values.items():
            series[f"threshold/{name}"].append((percent, value))
    return series


def importance(pipeline: Any, features: pd.DataFrame, target: pd.Series, seed: int) -> dict[str, float]:
    """How much the log loss grows when a column is shuffled, by column, the largest first.

    The mean of three times, on at most 500 rows (Breiman, Random Forests, 2001, as scikit-learn does it). Each shuffle
    asks the whole Pipeline again, so of many columns only `MAX_IMPORTANCES` are measured: those that by themselves tell
    the target best.
    """
    import pandas as pd
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import get_scorer

    measured = _most_telling(features, target)
    score = get_scorer("neg_log_loss")
    # A copy has its numbers in one block; what `drop` gives has one for each column, which would cost most of the time.
    rest = features.drop(columns=measured).copy()

    def scored(model: Any, shuffled: pd.DataFrame, truth: pd.Series) -> float:
        # The Pipeline takes its columns by name, in whatever order.
        whole = pd.concat([shuffled, rest.loc[shuffled.index]], axis="columns") if len(rest.columns) else shuffled
        return float(score(model, whole, truth))

    with warnings.catch_warnings(action="ignore"):
        shuffles = permutation_importance(
            pipeline, features[measured], target, scoring=scored, n_repeats=3, random_state=seed,
            max_samples=min(500, len(features)),
        )  # fmt: skip
    growth = zip(measured, map(float, shuffles.importances_mean), strict=True)
    return dict(sorted(growth, key=lambda pair: -pair[1]))


def _most_telling(features: pd.DataFrame, target: pd.Series) -> list[str]:
    """The columns to measure, in the table's order: all, or of many those that by themselves tell the target best."""
    names = list(features.columns)
    if len(names) <= MAX_IMPORTANCES:
        return names
    some = features.iloc[:_SCREENED_ROWS]
    aucs = {name: alone(some[name], target.iloc[:_SCREENED_ROWS]) for name in names}
    best = set(sorted(names, key=lambda name: -aucs[name])[:MAX_IMPORTANCES])
    return [name for name in names if name in best]
