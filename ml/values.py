"""What stands in a file or a request, as the value of a column: the one reading for training, scoring and serving.

Pure and light; no library guesses here. `ml.reading.columns` reads whole columns by the same rules.

The rules:

- Blanks around a text do not count.
- Nothing, an empty text and the `MISSING_WORDS` are missing, and what the configuration's `missing` lists.
- A number is written as digits with a point, with a sign or an exponent if need be; a decimal comma where the file has
  them, a unit and thousands separators where the contract names them. It is finite and at most 1e100 in size.
- A truth is true or false, in any case, or 1 or 0.
- A category is its text: a whole number is its digits, a truth `true` or `false`, a moment its ISO 8601 form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, get_args
from uuid import UUID

MISSING_WORDS = frozenset(
    {
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
        "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    }
)  # fmt: skip
"""Those that pandas takes as missing by default (`pandas.read_csv`, `na_values`), wherever a text stands."""
LARGEST_NUMBER = 1e100
"""What is larger could leave the range of a float while the model scales and adds it up."""
LONGEST_TEXT = 1000
"""A category with more characters is free text."""

ColumnType = Literal["number", "integer", "boolean", "category", "string", "datetime"]
TYPES: tuple[str, ...] = get_args(ColumnType)
NUMERIC: tuple[str, ...] = ("number", "integer", "boolean")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA_NUMBER = re.compile(r"[+-]?(\d+(,\d+)?|,\d+)([eE][+-]?\d+)?", re.ASCII)
_TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
_TRUTH_TEXTS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
_BOOLEANS = ("bool", "bool_")
_NOT_A_VALUE = ("NAType", "NaTType")
_HALF_PAIR = re.compile("[\ud800-\udfff]")


class _Wrong:
    """Says that a value is not of its column's type."""

    def __repr__(self) -> str:
        return "WRONG"


WRONG = _Wrong()


@dataclass(frozen=True)
class Column:
    """How the values of one column are read.

    Attributes:
        type: One of `TYPES`.
        missing: The texts that stand for a missing value besides nothing at all.
        unit: What stands before or after its numbers, such as `$` or `%`; it is taken away.
        thousands: What separates the thousands of its numbers.
    """

    name: str
    type: str
    missing: frozenset[str] = MISSING_WORDS
    unit: str = ""
    thousands: str = ""

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers to the model; those of other columns are texts."""
        return self.type in NUMERIC

    @property
    def is_plain(self) -> bool:
        """Whether every plain number is a value of it, as it is."""
        return self.type in ("number", "integer") and not self.missing_numbers

    @cached_property
    def missing_numbers(self) -> frozenset[float]:
        """The numbers that stand for a missing value."""
        return frozenset(float(word) for word in self.missing if _NUMBER.fullmatch(word))

    def is_missing(self, value: Any) -> bool:
        """Whether a value stands for none."""
        if isinstance(value, str):
            text = value.strip()
            return not text or text in self.missing
        if value is None or type(value).__name__ in _NOT_A_VALUE or value != value:
            return True
        if not self.missing_numbers or not isinstance(value, (int, float, Decimal)) or isinstance(value, bool):
            return False
        return float(value) in self.missing_numbers

    def read(self, value: Any, commas: bool = False) -> Any:
        """The value of a cell.

        Args:
            value: A text, or a plain Python value as JSON or Parquet give it.
            commas: Whether a number in a text may have a decimal comma.

        Returns:
            A float (a truth is 1.0 or 0.0), or a text; None for a missing value; `WRONG` for one of another type. That
            a number is whole, or in a range, is for the contract to check.
        """
        if self.is_missing(value):
            return None
        if not self.is_numeric:
            return text_of(value, LONGEST_TEXT if self.type == "category" else None)
        if self.type == "boolean":
            return _truth(value)
        number = self._number(value, commas)
        return None if number in self.missing_numbers else number

    def read_all(self, values: Iterable[Any], commas: bool = False) -> list[Any]:
        """What `read` says of each value; most texts are their own value, which takes no call to see."""
        if self.is_numeric:
            return [self.read(value, commas) for value in values]
        others = self.missing | _TRUTH_TEXTS.keys() | {""}
        return [
            text
            if isinstance(value, str)
            and (text := value.strip()).isascii()
            and text not in others
            and len(text) <= LONGEST_TEXT
            else self.read(value)
            for value in values
        ]

    def _number(self, value: Any, commas: bool) -> Any:
        if not isinstance(value, str) or not (self.unit or self.thousands):
            return number_of(value, commas)
        text = _without_unit(value.strip(), self.unit) if self.unit else value.strip()
        return number_of(_without_thousands(text, self.thousands) if self.thousands else text, commas)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; `Column.of` reads them back."""
        description: dict[str, Any] = {"type": self.type}
        if self.missing != MISSING_WORDS:
            description["missing"] = sorted(self.missing)
        return description | {key: getattr(self, key) for key in ("unit", "thousands") if getattr(self, key)}

    @classmethod
    def of(cls, name: str, description: Mapping[str, Any]) -> Column:
        """Reads what `as_dict` wrote; `ValueError` where it is no such description."""
        kind, words = description.get("type"), description.get("missing", MISSING_WORDS)
        if kind not in TYPES or not isinstance(words, (list, frozenset)):
            raise ValueError(f"column {name!r} is described as {dict(description)!r}")
        extra = {key: str(description.get(key, "")) for key in ("unit", "thousands")}
        return cls(name, str(kind), frozenset(map(str, words)), **extra)


def missing_words(*listed: Iterable[str] | None) -> frozenset[str]:
    """The words that stand for a missing value, from what the configuration lists for the data and for a column.

    Listed words join the usual ones; an empty list takes all of them away, so that only nothing at all is missing.
    """
    missing = MISSING_WORDS
    for words in listed:
        if words is not None:
            words = frozenset(word.strip() for word in words)
            missing = missing | words if words else frozenset()
    return missing


def number_of(value: Any, commas: bool = False) -> Any:
    """The number that a value is, as a float; `WRONG` where it is none, is not finite, or is too large.

    >>> number_of(" 1.5 "), number_of("1,5"), number_of("1,5", commas=True), number_of(True)
    (1.5, WRONG, 1.5, WRONG)
    """
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.fullmatch(text):
            if not commas or not _COMMA_NUMBER.fullmatch(text):
                return WRONG
            text = text.replace(",", ".")
        number = float(text)
    elif type(value).__name__ in _BOOLEANS or not hasattr(value, "__float__"):
        return WRONG
    else:
        try:
            number = float(value)
        except (OverflowError, ValueError, TypeError):
            return WRONG
    return number if abs(number) <= LARGEST_NUMBER else WRONG


def _truth(value: Any) -> Any:
    if isinstance(value, str):
        return _TRUTHS.get(value.strip().lower(), WRONG)
    if type(value).__name__ in _BOOLEANS:
        return float(value)
    number = number_of(value)
    return number if number in (0.0, 1.0) else WRONG


def _without_unit(text: str, unit: str) -> str:
    """A number without its unit, on whichever side it and the sign stand: `-$5`, `$-5`, `5 %`."""
    sign = text[:1] if text[:1] in ("+", "-") else ""
    bare = text[len(sign) :].strip().removeprefix(unit).removesuffix(unit).strip()
    return sign + bare


def _without_thousands(text: str, mark: str) -> str:
    """A number without its thousands separators; a text where they do not stand at the thousands stays as it is."""
    escaped = re.escape(mark)
    if re.match(rf"[+-]?\d{{1,3}}({escaped}\d{{3}})+(?!\d)", text):
        return text.replace(mark, "")
    return text


def text_of(value: Any, longest: int | None = LONGEST_TEXT) -> Any:
    """The text that stands for a value: the same category however a file or a request holds it; `WRONG` for none.

    >>> text_of(" a "), text_of(3.0), text_of(2.5), text_of(True), text_of("True"), text_of("03"), text_of(b"x")
    ('a', '3', '2.5', 'true', 'true', '03', WRONG)
    """
    if isinstance(value, str):
        text = value.strip()
        if (longest is not None and len(text) > longest) or (not text.isascii() and _HALF_PAIR.search(text)):
            # Half a surrogate pair is text for JSON and for nothing else.
            return WRONG
        return _TRUTH_TEXTS.get(text, text)
    if isinstance(value, (date, time, timedelta, UUID)):
        return _named_text(value)
    if type(value).__name__ in _BOOLEANS:
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return _number_text(value)


def _named_text(value: Any) -> str:
    if isinstance(value, timedelta):
        # pandas shows its own kind of it in other words.
        return str(timedelta(seconds=value.total_seconds()))
    return str(value) if isinstance(value, UUID) else str(value.isoformat())


def _number_text(value: Any) -> Any:
    if hasattr(value, "__index__"):
        return str(int(value))
    if not hasattr(value, "__float__"):
        return WRONG
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


_OWN = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_MOST_DIGITS = 2**53
"""Whole numbers beyond it are not told apart by a float: they name things rather than count them."""


def is_own_spelling(text: str) -> bool:
    """Whether a text is a number as a number is written, and no code that only looks like one.

    Leading zeros, a plus sign, an exponent that the number does not need and whole numbers beyond 2**53 are not.

    >>> [is_own_spelling(text) for text in ("12", "-0.50", "1e-07", "012", "+7", "1e5", "9007199254740993")]
    [True, True, True, False, False, False, False]
    """
    if not _OWN.fullmatch(text):
        # Very small and very large numbers are written so by those who wrote them as numbers.
        return "e" in text and bool(_NUMBER.fullmatch(text)) and text == repr(float(text))
    return "." in text or len(text) < 16 or abs(int(text)) <= _MOST_DIGITS


def is_own_spelling_with_comma(text: str) -> bool:
    """The same for numbers with a decimal comma."""
    return "." not in text and is_own_spelling(text.replace(",", "."))


def is_whole(text: str) -> bool:
    """Whether a number in its own spelling is written as a whole one."""
    return text.lstrip("-").isdigit()


def is_truth(text: str) -> bool:
    """Whether a text is true or false, in any case."""
    return text.lower() in ("true", "false")
