"""How good a fitted model is on some rows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

NAMES = ("accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss", "brier")
LESS_IS_BETTER = frozenset({"log_loss", "brier"})


def probabilities(pipeline: Any, features: pd.DataFrame) -> np.ndarray:
    """The probability of the positive class for each row: shape (n_rows,), from 0 to 1."""
    found: np.ndarray = pipeline.predict_proba(features)[:, 1]
    return found


def metrics(target: pd.Series, probability: np.ndarray, part: str) -> dict[str, float]:
    """The metrics at a threshold of one half.

    Args:
        target: 0 or 1, shape (n_rows,), both present.
        probability: Of class 1, shape (n_rows,).
        part: `train` or `test`, the prefix of each name.

    Returns:
        `{part}_accuracy`, `_precision`, `_recall`, `_f1`, `_roc_auc`, `_average_precision`, `_log_loss`, `_brier`, as
        scikit-learn defines them.
    """
    from sklearn import metrics as sk

    predicted = (probability > 0.5).astype(int)
    found = {
        "accuracy": sk.accuracy_score(target, predicted),
        "precision": sk.precision_score(target, predicted, zero_division=0),
        "recall": sk.recall_score(target, predicted, zero_division=0),
        "f1": sk.f1_score(target, predicted, zero_division=0),
        "roc_auc": sk.roc_auc_score(target, probability),
        "average_precision": sk.average_precision_score(target, probability),
        "log_loss": sk.log_loss(target, probability, labels=[0, 1]),
        "brier": sk.brier_score_loss(target, probability),
    }
    return {f"{part}_{name}": float(found[name]) for name in NAMES}
