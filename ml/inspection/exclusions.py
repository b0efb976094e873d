"""What makes a column useless or dangerous to learn from: constants, numbers of rows, and what gives the target away.

Pure. One rule for `trackyard init`, which shows each finding and writes it beside the column, and for a run without a
contract, which leaves the column out and says so. People may overrule it: what `data.features` lists is learned from.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ml.evaluation.leakage import LEAK_AUC, alone
from ml.inspection.doubts import numbers_in_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

_MOST_DISTINCT = 0.8
_ID_NAME = re.compile(
    r"(^|[_ .-])(id|ids|uid|uuid|guid|key|nr|no|num|number|index|row|ssn|phone|telephone|tel|iban|customer|account)$"
    r"|(nummer|nummern|kennung|numero|numéro|número|_pk)$|^unnamed|^rownames$",
    re.IGNORECASE,
)
_CAMEL_ID = re.compile(r"[a-z](I[dD]|Nr|No|Key)$")
_LEAK = "suspected leak"


def left_out(columns: Mapping[str, tuple[pd.Series[Any], str]], is_positive: pd.Series[bool]) -> dict[str, str]:
    """Why columns should not be learned from, by name.

    Where nothing else would be left, what gives the target away stays, for the gate to judge. Each column comes with
    its values, as `ml.reading.columns.converted` reads them, and its type; `is_positive` tells which rows have the
    positive label.
    """
    reasons = {name: why_not(values, kind, is_positive) for name, (values, kind) in columns.items()}
    if all(reasons.values()):
        return {name: why for name, why in reasons.items() if not why.startswith(_LEAK)}
    return {name: why for name, why in reasons.items() if why}


def why_not(values: pd.Series[Any], kind: str, is_positive: pd.Series[bool]) -> str:
    """Why the model should not learn from a column; empty if it should. `left_out` says what is passed."""
    present = values.dropna()
    if not len(present):
        return "it has no value at all"
    if values.nunique(dropna=False) <= 1:
        return "constant: always the same"
    if kind == "datetime":
        return "a moment, not a property"
    auc = alone(values.isna(), is_positive)
    if auc > LEAK_AUC:
        return f"{_LEAK}: whether it is missing tells the target (ROC AUC {auc:.3f})"
    if kind == "integer" and _is_row_number(values):
        return "suspected id: a number for each row"
    if kind == "string":
        every = len(present) == len(values) == present.nunique()
        text = "suspected id: every row has its own" if every else f"text with {present.nunique()} different values"
        return numbers_in_text(values) or text
    auc = alone(values, is_positive)
    return f"{_LEAK}: it tells the target alone (ROC AUC {auc:.3f})" if auc > LEAK_AUC else ""


def _is_row_number(values: pd.Series[Any]) -> bool:
    """Whether whole numbers count the rows, or are called as ids are and nearly all different."""
    if values.isna().any():
        return False
    counts_rows = bool((values.diff().dropna() == 1).all())
    name = str(values.name).strip()
    is_called_id = _ID_NAME.search(name) or _CAMEL_ID.search(name)
    return counts_rows or bool(is_called_id and values.nunique() >= _MOST_DISTINCT * len(values))
