"""How a CSV file is written, and its rows: one reader for training, `trackyard init`, scoring and requests.

Pure and light. The header and the first rows decide what separates the cells; of the file's own claims only Excel's
`sep=` line is heard. What is not a proper table is told with its line.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO

from ml.errors import ContractViolation, UnreadableData

DELIMITERS = (",", ";", "\t", "|")
"""What may separate cells; the first wins where two would do equally well."""
SAMPLE_ROWS = 50
MAX_CELL = 16 * 2**20
"""A cell with more characters is a quotation mark that was not closed."""
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        delimiter: One of `DELIMITERS`, or `auto` to find it.
        decimal: `.` or `,`; `auto` takes a decimal comma for what it is where cells are not separated by commas.
    """

    delimiter: str = "auto"
    decimal: str = "auto"

    @property
    def commas(self) -> bool:
        """Whether a number may have a decimal comma."""
        return self.decimal == "," or (self.decimal == "auto" and self.delimiter not in (",", "auto"))

    def __str__(self) -> str:
        """What people call it, such as `semicolon`."""
        return _NAMES[self.delimiter]


AUTO = Dialect()
"""Find out what separates the cells."""


def find_dialect(text: str, name: str, wanted: Dialect = AUTO) -> Dialect:
    """Finds how a text is written, of which the beginning is enough, where `wanted` does not say it.

    Raises:
        UnreadableData: A delimiter was named, and another one separates the cells of the header.
    """
    claim = _SEP_LINE.match(text)
    if claim:
        text = text[claim.end() :]
    best = claim[1] if claim and claim[1] in DELIMITERS else _delimiter(text)
    delimiter = wanted.delimiter
    if delimiter not in ("auto", best) and len(_sample(text, delimiter)[0]) < 2 and len(_sample(text, best)[0]) > 1:
        raise UnreadableData(
            f"{name} is separated by {_NAMES[best]}, and data.csv.delimiter says {_NAMES[delimiter]}: correct one"
        )
    return Dialect(best if delimiter == "auto" else delimiter, wanted.decimal)


def _delimiter(text: str) -> str:
    """The delimiter that gives every row of the sample as many cells as the header; else the one with most cells."""

    def rank(delimiter: str) -> tuple[bool, int]:
        header, *rows = _sample(text, delimiter)
        width = len(header)
        return (all(len(row) == width for row in rows), width) if width > 1 else (False, 0)

    return max(DELIMITERS, key=rank)


def _sample(text: str, delimiter: str) -> list[list[str]]:
    # A sample is enough, and a file of a gigabyte need not be copied for it.
    lines = io.StringIO(text[: 2**20], newline="")
    try:
        rows = list(islice((row for row in csv.reader(lines, delimiter=delimiter) if row), SAMPLE_ROWS))
    except csv.Error:
        rows = []
    return rows or [[]]


class CsvRows:
    """The rows of a CSV text, each with as many cells as the header; cells are as they stand.

    The text is opened with `newline=""`. A comma at the end of the header, or of every row, with nothing under it is
    passed over. Columns without a name are there and are not in `named`.

    Raises:
        UnreadableData: There is no header, or (in the course of reading) a row is none of this table.
        ContractViolation: A name is in the header twice.
    """

    def __init__(self, lines: IO[str], dialect: Dialect, name: str) -> None:
        self._name = name
        csv.field_size_limit(MAX_CELL)
        # The mark of UTF-8 and Excel's line say how to read the file and are no part of it.
        self._reader = csv.reader(_without_claims(lines), delimiter=dialect.delimiter, strict=True)
        rows = self._rows()
        self.header = next(rows, [])
        first = next(rows, [])
        if not self.header:
            raise UnreadableData(f"{name} is empty: it needs a header and rows")
        self.notes = self._settle_width(first)
        self.named = [at for at, column in enumerate(self.header) if column.strip()]
        refuse_twice([self.header[at] for at in self.named], name)
        unnamed = sorted({*range(len(self.header))} - {*self.named})
        self.notes += [
            f"column {at + 1} has no name and is left out: name it in the header to use it" for at in unnamed
        ]
        self._body = chain([first] if first else [], rows)

    def __iter__(self) -> Iterator[list[str]]:
        """Row after row."""
        width, full = len(self.header), len(self.header) + self._extra
        for row in self._body:
            if len(row) != full or (self._extra and row[-1].strip()):
                raise UnreadableData(
                    f"{self._name} is not a proper CSV file: line {self._reader.line_num} has {len(row)} fields and "
                    f"the header {width}"
                )
            yield row[:width] if self._extra else row

    def chunks(self, size: int) -> Iterator[list[list[str]]]:
        """The rows, some at a time."""
        rows = iter(self)
        while chunk := list(islice(rows, size)):
            yield chunk

    def _settle_width(self, first: list[str]) -> list[str]:
        """Decides by the first row what a comma at the end means, and returns what to say of it."""
        width, note = len(self.header), "ends with a comma that has nothing under it, which is passed over"
        self._extra = int(len(first) == width + 1 and not first[-1].strip())
        if self._extra:
            return [f"every row {note}"]
        if first and len(first) == width - 1 and not self.header[-1].strip():
            self.header = self.header[:-1]
            return [f"the header {note}"]
        return []

    def _rows(self) -> Iterator[list[str]]:
        try:
            yield from filter(None, self._reader)
        except csv.Error as error:
            raise UnreadableData(
                f"{self._name} is not a proper CSV file: line {self._reader.line_num}: {error}"
            ) from error


def _without_claims(lines: IO[str]) -> Iterable[str]:
    first = lines.readline().removeprefix("\ufeff")
    return lines if _SEP_LINE.fullmatch(first) else chain([first], lines)


def refuse_twice(columns: list[str], name: str) -> None:
    """Refuses as a `ContractViolation` a table in which a column is there twice."""
    twice = sorted(column for column, count in Counter(columns).items() if count > 1)
    if twice:
        raise ContractViolation(f"{name}: column {', '.join(map(repr, twice))} is there twice: rename or remove one")
