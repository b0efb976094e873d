"""What makes a column useless or dangerous to learn from: constants, numbers of rows, and what gives the target away.

Pure. Each finding is one phrase that `trackyard init` shows and writes beside the column; people may overrule it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

LEAK_AUC = 0.999
"""A column that ranks the rows this well all by itself is more often made from the target than a lucky feature."""
LEAK_MISSING_AUC = 0.95
_NUMBER_NAME = re.compile(r"(^|[_ .-])(id|uuid|guid|key|nr|no|number|index|row)$|^unnamed|^rownames$", re.IGNORECASE)
_CAMEL_ID = re.compile(r"[a-z]I[dD]$")


def why_not(values: pd.Series[Any], kind: str, is_positive: pd.Series[bool]) -> str:
    """Why the model should not learn from a column; empty if it should.

    Args:
        values: The column.
        kind: Its type in the data contract.
        is_positive: Whether each row has the positive label, with the same index.
    """
    present = values.dropna()
    if not len(present):
        return "it has no value at all"
    if values.nunique(dropna=False) <= 1:
        return "constant: always the same"
    if is_row_number(values, kind):
        return "suspected id: a number for each row"
    leak = _why_missing_leaks(values, is_positive)
    if leak:
        return leak
    if kind == "string":
        every = len(present) == len(values) == present.nunique()
        return "suspected id: every row has its own" if every else f"text with {present.nunique()} different values"
    if kind == "datetime":
        return "a moment, not a property"
    return why_leak(values, kind, is_positive)


def is_row_number(values: pd.Series[Any], kind: str) -> bool:
    """Whether whole numbers count the rows, or are called as ids are and nearly all different."""
    if kind != "integer" or values.isna().any():
        return False
    name = str(values.name).strip()
    is_called_so = bool(_NUMBER_NAME.search(name) or _CAMEL_ID.search(name))
    counts = values.nunique() == len(values) and bool((values.diff().dropna() == 1).all())
    return counts or (is_called_so and values.nunique() >= 0.8 * len(values))


def why_leak(values: pd.Series[Any], kind: str, is_positive: pd.Series[bool]) -> str:
    """How a column gives the target away all by itself; empty if it does not."""
    missing = values.isna()
    if kind in ("number", "integer", "boolean"):
        found = _auc(values[~missing].astype(float), is_positive[~missing])
    else:
        # How often a value comes with the positive label ranks the rows; values of few rows would rank them by chance.
        text = values.astype(object).where(~missing, "missing").astype(str)
        if text.nunique() > max(2, len(text) // 10):
            return ""
        found = _auc(is_positive.astype(float).groupby(text).transform("mean"), is_positive)
    found = max(found, 1 - found)
    return f"suspected leak: it tells the target alone (AUC {found:.3f})" if found >= LEAK_AUC else ""


def _why_missing_leaks(values: pd.Series[Any], is_positive: pd.Series[bool]) -> str:
    found = _auc(values.isna().astype(float), is_positive)
    found = max(found, 1 - found)
    is_leak = found >= LEAK_MISSING_AUC
    return f"suspected leak: whether it is missing tells the target (AUC {found:.3f})" if is_leak else ""


def _auc(scores: pd.Series[float], is_positive: pd.Series[bool]) -> float:
    """The area under the ROC curve, from the ranks (Mann and Whitney's U); one half where a class is missing."""
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if min(positives, negatives) < 5:
        return 0.5
    ranks = scores.rank()
    return float((ranks[is_positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))
