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

    Where nothing else would be left, what gives the target away stays, for the gate to judge.

    Args:
        columns: Each candidate's values, as `ml.reading.columns.converted` reads them, and its type.
        is_positive: Whether each row has the positive label.
    """
    reasons = {name: why_not(values, kind, is_positive) for name, (values, kind) in columns.items()}
    found = {name: why for name, why in reasons.items() if why}
    if len(found) < len(columns):
        return found
    return {name: why for name, why in found.items() if not why.startswith(_LEAK)}


def why_not(values: pd.Series[Any], kind: str, is_positive: pd.Series[bool]) -> str:
    """Why the model should not learn from a column; empty if it should.

    Args:
        values: The column, its cells read as `ml.reading.columns.converted` does.
        kind: Its type.
        is_positive: Whether each row has the positive label, with the same index.
    """
    present = values.dropna()
    if not len(present):
        return "it has no value at all"
    if values.nunique(dropna=False) <= 1:
        return "constant: always the same"
    if kind == "datetime":
        return "a moment, not a property"
    found = alone(values.isna(), is_positive)
    if found > LEAK_AUC:
        return f"{_LEAK}: whether it is missing tells the target (ROC AUC {found:.3f})"
    if is_row_number(values, kind):
        return "suspected id: a number for each row"
    if kind == "string":
        every = len(present) == len(values) == present.nunique()
        text = "suspected id: every row has its own" if every else f"text with {present.nunique()} different values"
        return numbers_in_text(values) or text
    found = alone(values, is_positive)
    return f"{_LEAK}: it tells the target alone (ROC AUC {found:.3f})" if found > LEAK_AUC else ""


def is_row_number(values: pd.Series[Any], kind: str) -> bool:
    """Whether whole numbers count the rows, or are called as ids are and nearly all different."""
    if kind != "integer" or values.isna().any():
        return False
    counts = values.nunique() == len(values) and bool((values.diff().dropna() == 1).all())
    return counts or (is_called_id(str(values.name)) and values.nunique() >= _MOST_DISTINCT * len(values))


def is_called_id(name: str) -> bool:
    """Whether a column is called as what names rows is called."""
    return bool(_ID_NAME.search(name.strip()) or _CAMEL_ID.search(name.strip()))
