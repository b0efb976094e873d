"""The rows of a request as columns, and each cell checked against the model's signature. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.values import LARGEST_NUMBER, LONGEST_TEXT, WRONG, Column
from serving.web.messages import RequestRefused, problem

if TYPE_CHECKING:
    from serving.models.predictor import Predictor

MAX_PROBLEMS = 20
_NUMBER_RULE = "a finite number from -1e100 to 1e100"
_TRUTH_RULE = "true or false, or 1 or 0"
_TEXT_RULE = f"text of at most {LONGEST_TEXT} characters, or null"
_NUMBERS = frozenset({int, float, type(None)})
ABSENT = object()
"""Stands where a row does not have a field."""


@dataclass
class Table:
    """The rows of a request.

    Attributes:
        rows: The rows as objects, where they came so.
        columns: The columns by name, where they came so; each has `size` values.
        options: `threshold` and `explain`, as far as the request gave them.
        commas: Whether a number in a text may have a decimal comma.
    """

    size: int
    rows: Sequence[Mapping[str, Any]] | None = None
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    commas: bool = False

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
    columns: dict[str, Any] = {}
    problems: list[dict[str, Any]] = []
    commas = table.commas or predictor.loaded.commas
    for column in predictor.loaded.readings:
        cells = _Cells(column, column.name in predictor.nullable or not column.is_numeric, commas)
        columns[column.name] = cells.read(table.column(column.name), problems)
    if problems:
        problems.sort(key=itemgetter("row"))
        first = problems[0]
        message = f"row {first['row']}: field {first['field'][:60]!r}: {first['rule']}"
        raise RequestRefused(422, "wrong_rows", message, problems[:MAX_PROBLEMS])
    return columns


@dataclass(frozen=True)
class _Cells:
    """How the cells of one field are read, and whether they may be missing."""

    column: Column
    nullable: bool
    commas: bool

    def read(self, values: Sequence[Any], problems: list[dict[str, Any]]) -> Any:
        """The values, numbers as an array and texts as a list; what is wrong is added to the problems."""
        if not self.column.is_numeric:
            return self._each(values, problems)
        if self.column.is_plain:
            kinds = set(map(type, values))
            if kinds <= _NUMBERS and (self.nullable or type(None) not in kinds):
                fast = _all_numbers(values, has_null=type(None) in kinds)
                if fast is not None:
                    return fast
        return np.array([math.nan if one is None else one for one in self._each(values, problems)], dtype=np.float64)

    def _each(self, values: Sequence[Any], problems: list[dict[str, Any]]) -> list[Any]:
        read, commas, cells = self.column.read, self.commas, []
        wrong = 0
        for row, value in enumerate(values):
            cell = read(value, commas) if value is not ABSENT else WRONG
            if cell is WRONG or (cell is None and not self.nullable):
                rule = "required" if value is ABSENT else f"{self._rule}, not {_shown(value)}"
                problems.append(problem(self.column.name, rule, row))
                wrong += 1
                if wrong >= MAX_PROBLEMS:
                    break
                cell = None
            cells.append(cell)
        return cells

    @property
    def _rule(self) -> str:
        if not self.column.is_numeric:
            return _TEXT_RULE
        return (_TRUTH_RULE if self.column.type == "boolean" else _NUMBER_RULE) + (", or null" if self.nullable else "")


def _all_numbers(values: Sequence[Any], *, has_null: bool) -> Any:
    """Numbers and nulls as an array; None where one is out of range, so that each has to be looked at."""
    try:
        array = np.array([math.nan if value is None else value for value in values] if has_null else values, np.float64)
    except OverflowError:
        return None
    is_fine = np.abs(array) <= LARGEST_NUMBER
    if is_fine.all():
        return array
    nulls = sum(value is None for value in values)
    return array if nulls and len(array) - int(is_fine.sum()) == nulls else None


def _shown(value: Any) -> str:
    return type(value).__name__ if isinstance(value, (list, dict)) else repr(value)[:40]
