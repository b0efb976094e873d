"""How well one column by itself tells the target. Pure, and light to import.

One test and one threshold for all who ask: `trackyard init`, the choice of features, and the gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.evaluation.metrics import metric_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

LEAK_AUC = 0.995
"""A column that by itself ranks the rows better than this is more often the target in disguise than a lucky feature."""
LEAST_OF_A_CLASS = 10
"""With fewer rows of a class than this nobody can tell a leak from luck."""
_FOLDS = 5
_MISSING = object()


def alone(values: pd.Series, is_positive: Any) -> float:
    """The ROC AUC of one column by itself, on all rows: by its values, or by whether they are there.

    Numbers and truths rank the rows as they are, in whichever direction is better; rows without a value are ranked by
    chance. Anything else ranks the rows by the share of positives that each value, or a missing one, has in the other
    four fifths of the rows.

    The column has shape (n_rows,), and what is missing is what pandas takes for missing; `is_positive` tells whether
    each row has the positive label (0 and 1 do too). The answer is from 0.5 to 1, and 0.5 where a class has fewer than
    `LEAST_OF_A_CLASS` rows.
    """
    import numpy as np
    from pandas.api.types import is_numeric_dtype

    positive = np.asarray(is_positive).astype(bool)
    present = values.notna().to_numpy()
    # What is there in every row tells nothing by being there.
    by_missing = 0.5 if present.all() else _either_way(present.astype(float), positive)
    if is_numeric_dtype(values.dtype):
        numbers = values[present].to_numpy(dtype="float64")
        return max(by_missing, _with_gaps(_either_way(numbers, positive[present]), present, positive))
    texts = values.astype(object).where(present, _MISSING)
    return max(by_missing, _auc(_share_elsewhere(texts, positive), positive))


def _with_gaps(auc: float, present: np.ndarray, positive: np.ndarray) -> float:
    """The ROC AUC on all rows, where a pair of rows of which one has no value is ranked by chance.

    An ROC AUC is the share of pairs of a positive and a negative row that are ranked rightly (Mann and Whitney's U).
    """
    both = float(present[positive].mean() * present[~positive].mean()) if positive.any() and not positive.all() else 0.0
    return both * auc + (1 - both) * 0.5


def _share_elsewhere(values: pd.Series, positive: np.ndarray) -> np.ndarray:
    """The share of positives that each row's value has among the rows of the other folds."""
    import numpy as np

    fold = np.empty(len(values), dtype=int)
    rng = np.random.default_rng(0)
    for label in (False, True):
        # Each fold has the same balance, or a value that stands once would rank rows by the share of their fold.
        rows = np.flatnonzero(positive == label)
        fold[rng.permutation(rows)] = np.arange(len(rows)) % _FOLDS
    shares = np.full(len(values), 0.5)
    for number in range(_FOLDS):
        asked = fold == number
        shares[asked] = _shares(values[~asked], positive[~asked], values[asked])
    return shares


def _shares(known: pd.Series, positive: np.ndarray, asked: pd.Series) -> np.ndarray:
    """The share of positives that each asked value has among the known rows; that of all for an unknown value."""
    import pandas as pd

    target = pd.Series(positive.astype(float))
    by_value = target.groupby(known.astype(object).to_numpy()).mean()
    overall = float(target.mean()) if len(target) else 0.5
    shares: np.ndarray = asked.astype(object).map(by_value).astype("float64").fillna(overall).to_numpy()
    return shares


def _either_way(scores: np.ndarray, positive: np.ndarray) -> float:
    auc = _auc(scores, positive)
    return max(auc, 1 - auc)


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    if min(positive.sum(), (~positive).sum()) < LEAST_OF_A_CLASS:
        return 0.5
    return metric_of("roc_auc", positive.astype(float), scores)
