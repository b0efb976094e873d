"""What looks wrong in a column and is left as it is; `trackyard init` says it, and what to write in the yaml. Pure.

Nothing here changes a value. A column of text that is numbers but for a few cells, numbers with a unit or thousands
separators, words and numbers that may stand for a missing value: each is one sentence with its counts.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.values import WRONG, Column, is_own_spelling, number_of

if TYPE_CHECKING:
    import pandas as pd

_MOST = 0.8
"""From this share of numbers on, the other cells are the exception."""
_PLACEHOLDERS = frozenset(
    {
        "?", "??", "-", "--", "---", ".", "..", "*", "#", "x", "xx", "xxx", "unknown", "unk", "undefined", "missing",
        "n.a.", "n.a", "na", "n/k", "nil", "none", "not available", "not applicable", "not known", "no data", "tbd",
        "unbekannt", "keine angabe", "k.a.", "k. a.", "inconnu", "desconocido", "blank", "empty", "(null)", "\\n",
    }
)  # fmt: skip
_SENTINELS = frozenset(float(f"{sign}{'9' * digits}") for sign in ("", "-") for digits in range(2, 10)) | {-1.0}
_UNITS = (
    "$", "€", "£", "¥", "₹", "%", "‰", "USD", "EUR", "GBP", "CHF", "JPY", "kr", "kg", "km", "cm", "mm", "°C", "°F",
)  # fmt: skip
_THOUSANDS = ("", ",", ".", " ", "'")
_SHOWN = 3


@dataclass(frozen=True)
class Doubt:
    """Something to look at.

    Attributes:
        words: What was found, with its counts.
        rule: What to write in the column's rule of the schema if it is so; empty where there is nothing to write.
    """

    words: str
    rule: str = ""


def doubts_of(values: pd.Series, column: Column, commas: bool = False) -> list[Doubt]:
    """What looks wrong in a column, whose cells `ml.reading.columns.converted` read."""
    if column.is_numeric:
        doubts = _sentinels(values)
        # It may be an id by another name, or just a fine measure.
        if len(values) >= 50 and values.nunique() == len(values) and bool((values % 1 == 0).all()):
            doubts.append(Doubt("every row has a whole number of its own: if it is an id, add it to data.drop"))
        return doubts
    counts = Counter(value for value in values if isinstance(value, str))
    if column.type not in ("category", "string") or not counts:
        return []
    return _written_numbers(counts, column, commas) or _almost(values, counts, commas) or _placeholders(counts)


def numbers_in_text(values: pd.Series) -> str:
    """What keeps a column of text from being numbers, where nearly all of its cells are; empty for any other."""
    counts = Counter(value for value in values if isinstance(value, str))
    column = Column(str(values.name), "string")
    doubts = (_written_numbers(counts, column, commas=False) or _almost(values, counts, commas=False)) if counts else []
    return doubts[0].words if doubts else ""


def _almost(values: pd.Series, counts: Counter[str], commas: bool) -> list[Doubt]:
    others = {text: count for text, count in counts.items() if number_of(text, commas) is WRONG}
    total, wrong = sum(counts.values()), sum(others.values())
    if total - wrong < _MOST * total or len(counts) < 2:
        return []
    if not others:
        odd = next((text for text in counts if not is_own_spelling(text)), None)
        if odd is None:
            return []
        words = f"all {total:,} are written as numbers, and {odd!r} not as one would write it, so they are codes"
        return [Doubt(f"{words}; if they are quantities", "type: number")]
    shown = sorted(others, key=lambda text: -others[text])[:_SHOWN]
    row = int(values.isin(shown).to_numpy().argmax()) + 1
    where = f"row {row} is {shown[0]!r}"
    if wrong > 1:
        where = ", ".join(f"{others[text]} are {text!r}" for text in shown) + f" (the first in row {row})"
    words = f"{total - wrong:,} of {total:,} are numbers; {where}"
    if len(others) > _SHOWN:
        return [Doubt(f"{words}, and {len(others) - _SHOWN} others: correct them")]
    return [Doubt(words, f"type: number, missing: {json.dumps(shown, ensure_ascii=False)}")]


def _written_numbers(counts: Counter[str], column: Column, commas: bool) -> list[Doubt]:
    """Numbers with a unit or with thousands separators."""
    total = sum(counts.values())
    for unit in ("", *_UNITS):
        if sum(count for text, count in counts.items() if unit in text) < _MOST * total:
            continue
        for thousands in _THOUSANDS:
            if not (unit or thousands) or not any(thousands in text for text in counts):
                continue
            reader = Column(column.name, "number", column.missing, unit, thousands)
            if all(reader.read(text, commas) is not WRONG for text in counts):
                rule = "type: number" + (f", unit: {json.dumps(unit, ensure_ascii=False)}" if unit else "")
                rule += f', thousands: "{thousands}"' if thousands else ""
                example = next(iter(counts))
                return [Doubt(f"all {total:,} look like numbers such as {example!r}", rule)]
    return []


def _placeholders(counts: Counter[str]) -> list[Doubt]:
    total = sum(counts.values())
    words = {text: count for text, count in counts.items() if text.casefold() in _PLACEHOLDERS}
    if not words or len(words) == len(counts):
        return []
    listed = ", ".join(f"{text!r} stands {count} times ({count / total:.1%})" for text, count in words.items())
    return [Doubt(f"{listed}: if that means missing", f"missing: {json.dumps(list(words), ensure_ascii=False)}")]


def _sentinels(values: pd.Series) -> list[Doubt]:
    """Numbers far from all others that people write where there is none."""
    present = values.dropna()
    for value in (present.min(), present.max()) if len(present) else ():
        rest = present[present != value]
        count = len(present) - len(rest)
        if float(value) not in _SENTINELS or count < 2 or len(rest) < 2:
            continue
        spread = float(rest.quantile(0.99) - rest.quantile(0.01))
        gap = float(min(abs(rest - value)))
        if gap > spread or value < 0 <= rest.min():
            words = f"{value:.0f} stands {count} times ({count / len(present):.1%}), far from the others"
            return [
                Doubt(f"{words} ({rest.min():g} to {rest.max():g}): if that means missing", f'missing: ["{value:.0f}"]')
            ]
    return []
