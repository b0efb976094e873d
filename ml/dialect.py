"""How a CSV file is written: what separates its cells, and what its decimal mark is. Pure; light until it reads.

Nothing about the file's own claims (`sep=` lines, Excel's locale) is trusted; the header and the first rows decide, by
the same rule for training, for `trackyard init` and for `trackyard predict`.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ml.errors import UnreadableData

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = (",", ";", "\t", "|")
"""What may separate cells; the first wins where two would do equally well."""
SAMPLE_ROWS = 50
_DECIMAL_COMMA = re.compile(r"\s*[+-]?(\d+|\d+,\d+|,\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        delimiter: One of `DELIMITERS`.
        decimal: `.` or `,`; `auto` takes the comma for a text column of nothing but such numbers, where the cells are
            not themselves separated by commas.
    """

    delimiter: str = ","
    decimal: str = "auto"

    def __str__(self) -> str:
        """What people call it, such as `semicolon`."""
        return _NAMES[self.delimiter]


def find_dialect(text: str, name: str, delimiter: str = "auto", decimal: str = "auto") -> Dialect:
    """Finds how a text is written.

    Args:
        text: The file's text, or its beginning.
        name: What to call it in messages.
        delimiter: One of `DELIMITERS`, or `auto` to find it.
        decimal: `.`, `,` or `auto`.

    Raises:
        UnreadableData: A delimiter was named, and another one separates the cells of the header.
    """
    found = _delimiter(text)
    if delimiter not in ("auto", found) and len(_sample(text, delimiter)[0]) < 2 and len(_sample(text, found)[0]) > 1:
        raise UnreadableData(
            f"{name} is separated by {_NAMES[found]}, and data.csv.delimiter says {_NAMES[delimiter]}: correct one"
        )
    return Dialect(found if delimiter == "auto" else delimiter, decimal)


def _delimiter(text: str) -> str:
    """The delimiter that gives every row of the sample as many cells as the header; else the one with most cells."""
    even: list[tuple[int, str]] = []
    uneven: list[tuple[int, str]] = []
    for delimiter in DELIMITERS:
        header, *rows = _sample(text, delimiter)
        if len(header) > 1:
            kept = even if all(len(row) == len(header) for row in rows) else uneven
            kept.append((len(header), delimiter))
    for found in (even, uneven):
        if found:
            return max(found, key=lambda pair: pair[0])[1]
    return DELIMITERS[0]


def _sample(text: str, delimiter: str) -> list[list[str]]:
    try:
        rows = list(islice((row for row in csv.reader(_lines(text), delimiter=delimiter) if row), SAMPLE_ROWS))
    except csv.Error:
        rows = []
    return rows or [[]]


def _lines(text: str) -> io.StringIO:
    # A sample is enough, and a file of a gigabyte need not be copied for it.
    return io.StringIO(text[: 2**20], newline="")


def with_decimal_commas(frame: pd.DataFrame, dialect: Dialect) -> pd.DataFrame:
    """Turns text columns of numbers with decimal commas (`1,5`) into numbers; all others stay as they are.

    Args:
        frame: What was read, numbers with a decimal point as numbers already.
        dialect: How the file is written.
    """
    if dialect.decimal == "." or (dialect.decimal == "auto" and dialect.delimiter == ","):
        return frame
    changed = {}
    for name in frame.columns:
        cells = frame[name].dropna()
        if not _is_text(cells) or not cells.astype(str).str.contains(",", regex=False).any():
            continue
        if cells.astype(str).map(is_decimal_comma).all():
            changed[name] = frame[name].map(to_number, na_action="ignore").astype("float64")
    return frame.assign(**changed)


def _is_text(cells: pd.Series) -> bool:
    import pandas as pd

    return len(cells) > 0 and not pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)


def is_decimal_comma(cell: str) -> bool:
    """Whether a cell is a number that has, or could have, a decimal comma.

    >>> is_decimal_comma("-1,5"), is_decimal_comma("12"), is_decimal_comma("1.5"), is_decimal_comma("1,2,3")
    (True, True, False, False)
    """
    return _DECIMAL_COMMA.fullmatch(cell) is not None


def to_number(cell: object) -> float:
    """The number that a cell with a decimal comma stands for.

    >>> to_number("-1,5")
    -1.5
    """
    return float(str(cell).strip().replace(",", "."))
