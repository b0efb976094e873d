"""The rows of a request as columns, and each cell checked against the model's signature. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.missing import MISSING_WORDS

if TYPE_CHECKING:
    from serving.predictor import Predictor

MAX_PROBLEMS = 20
# What is larger could leave the range of a float while the model scales and adds it up.
_LARGEST_NUMBER = 1e100
_LONGEST_TEXT = 1000
_CSV_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_NUMBER_RULE = "a finite number from -1e100 to 1e100"
_TEXT_RULE = f"text of at most {_LONGEST_TEXT} characters, or null"
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_NUMBERS = frozenset({int, float, type(None)})
ABSENT = object()
"""Stands where a row does not have a field."""
_WRONG = object()


class RequestRefused(Exception):
    """A request that cannot be answered.

    Args:
        status: The HTTP status.
        code: A word for programs.
        message: One line for people.
        problems: `{"row", "field", "rule"}` for each thing that is wrong; a row counts from 0.
    """

    def __init__(self, status: int, code: str, message: str, problems: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = problems or []


class CsvText(str):
    """A value of a CSV file: text, which may stand for a number, or for nothing."""


@dataclass
class Table:
    """The rows of a request.

    Attributes:
        size: How many rows there are.
        rows: The rows as objects, where they came so.
        columns: The columns by name, where they came so; each has `size` values.
        options: `threshold` and `explain`, as far as the request gave them.
    """

    size: int
    rows: Sequence[Mapping[str, Any]] | None = None
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def column(self, name: str) -> Sequence[Any]:
        """The values of a field, ABSENT where a row does not have it."""
        if self.rows is None:
            return self.columns.get(name) or [ABSENT] * self.size
        try:
            return list(map(itemgetter(name), self.rows))
        except KeyError:
            return [row.get(name, ABSENT) for row in self.rows]

    def names(self) -> Iterable[str]:
        """Every field that is there."""
        return self.columns if self.rows is None else set().union(*self.rows)


def checked(predictor: Predictor, table: Table) -> dict[str, Any]:
    """The model's columns of a request: numbers as float64 with NaN for missing, texts as lists with None.

    Raises:
        RequestRefused: 422 with each wrong row (the first 20 things that are wrong), its field and the rule.
    """
    found: dict[str, Any] = {}
    problems: list[dict[str, Any]] = []
    for name, kind in predictor.loaded.inputs.items():
        values = table.column(name)
        nullable = name in predictor.nullable
        found[name] = _texts(values, name, problems) if kind == "string" else _numbers(values, name, nullable, problems)
    if problems:
        problems.sort(key=lambda problem: problem["row"])
        first = problems[0]
        message = f"row {first['row']}: field {first['field'][:60]!r}: {first['rule']}"
        raise RequestRefused(422, "wrong_rows", message, problems[:MAX_PROBLEMS])
    return found


def _numbers(values: Sequence[Any], name: str, nullable: bool, problems: list[dict[str, Any]]) -> Any:
    kinds = set(map(type, values))
    if kinds <= _NUMBERS and (nullable or type(None) not in kinds):
        fast = _all_numbers(values, has_null=type(None) in kinds)
        if fast is not None:
            return fast
    rule = _NUMBER_RULE + (", or null" if nullable else "")
    return np.array(_each(values, name, rule, problems, lambda value: _number(value, nullable)), dtype=np.float64)


def _all_numbers(values: Sequence[Any], *, has_null: bool) -> Any:
    """Numbers and nulls as an array; None where one is out of range, so that each has to be looked at."""
    try:
        array = np.array([math.nan if value is None else value for value in values] if has_null else values, np.float64)
    except OverflowError:
        return None
    is_fine = np.abs(array) <= _LARGEST_NUMBER
    if is_fine.all():
        return array
    nulls = sum(value is None for value in values)
    return array if nulls and len(array) - int(is_fine.sum()) == nulls else None


def _texts(values: Sequence[Any], name: str, problems: list[dict[str, Any]]) -> list[str | None]:
    return _each(values, name, _TEXT_RULE, problems, _text)


def _each(values: Sequence[Any], name: str, rule: str, problems: list[dict[str, Any]], clean: Any) -> list[Any]:
    found: list[Any] = []
    wrong = 0
    for row, value in enumerate(values):
        made = clean(value) if value is not ABSENT else _WRONG
        if made is _WRONG:
            told = "required" if value is ABSENT else f"{rule}, not {_shown(value)}"
            problems.append({"row": row, "field": name, "rule": told})
            wrong += 1
            if wrong >= MAX_PROBLEMS:
                break
            made = None
        found.append(made)
    return found


def _number(value: Any, nullable: bool) -> Any:
    if value is None or (isinstance(value, CsvText) and value.strip() in MISSING_WORDS):
        return math.nan if nullable else _WRONG
    if isinstance(value, bool) or not isinstance(value, (int, float, CsvText)):
        return _WRONG
    if isinstance(value, str) and not _CSV_NUMBER.fullmatch(value):
        return _WRONG
    try:
        found = float(value)
    except OverflowError:
        return _WRONG
    return found if abs(found) <= _LARGEST_NUMBER else _WRONG


def _text(value: Any) -> Any:
    if value is None or (isinstance(value, CsvText) and value.strip() in MISSING_WORDS):
        return None
    if isinstance(value, str):
        # Half a surrogate pair is text for JSON and for nothing else.
        is_text = len(value) <= _LONGEST_TEXT and (value.isascii() or not _HALF_PAIR.search(value))
        return str(value) if is_text else _WRONG
    return _WRONG


def _shown(value: Any) -> str:
    return repr(value)[:40] if isinstance(value, (str, int, float, bool)) or value is None else type(value).__name__
