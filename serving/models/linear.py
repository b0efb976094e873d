"""A linear Pipeline as one matrix product. Pure; `folding` makes it, and it equals `predict_proba` to 1e-12."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNSEEN = "\0never seen in training\0"
"""Stands, among the texts of a column, for all that training did not know."""
_MOST_OF_SUM = 1e3
"""Up to this sum of the terms' sizes, rounding (2**-53 of it) stays below 1e-12 in the probability, sklearn's too."""

_SURE, _ROUNDING = 30.0, 2.0**-40
"""Beyond 30 the probability is 0 or 1 to 1e-13. A sum of some thousand terms is off, by sklearn too, by no more than
2**-40 of the terms' sizes: so far-out numbers have an answer here, unless they cancel each other out."""
_ARRAYS = ("weights", "centres", "fills", "sizes")


@dataclass(frozen=True)
class LinearForm:
    """The folded Pipeline.

    Attributes:
        numbers: The number columns, in the order of `weights`.
        weights: The log-odds that one more of each number adds, shape (n_numbers,).
        centres: The raw values at which the numbers add nothing, shape (n_numbers,).
        fills: What stands for a missing number; NaN where nothing does, shape (n_numbers,).
        texts: For each text column the log-odds that each of its values adds.
        bias: The log-odds where every number is at its centre, before the texts.
        sizes: How large, for one of each number, the terms are that sklearn adds up, shape (n_numbers,).
        fixed_size: The same of the terms that no number changes.
    """

    numbers: tuple[str, ...]
    weights: NDArray[np.float64]
    centres: NDArray[np.float64]
    fills: NDArray[np.float64]
    texts: Mapping[str, Mapping[Any, float]]
    bias: float
    sizes: NDArray[np.float64]
    fixed_size: float

    def _numbers(self, columns: Mapping[str, Any]) -> NDArray[np.float64]:
        """The numbers of each row with what stands for missing ones, shape (n_rows, n_numbers)."""
        table = [np.asarray(columns[name], dtype=np.float64) for name in self.numbers]
        size = len(next(iter(columns.values())))
        raw = np.column_stack(table) if table else np.empty((size, 0))
        if np.isnan(raw).any():
            raw = np.where(np.isnan(raw), self.fills, raw)
        return raw

    def terms(self, columns: Mapping[str, Any]) -> NDArray[np.float64]:
        """The log-odds that each column of each row adds, shape (n_rows, n_numbers + n_texts)."""
        return self._terms(self._numbers(columns), columns)

    def _terms(self, raw: NDArray[np.float64], columns: Mapping[str, Any]) -> NDArray[np.float64]:
        terms = (raw - self.centres) * self.weights
        if not self.texts:
            return terms
        added = [[table.get(_key(one), table[UNSEEN]) for one in columns[name]] for name, table in self.texts.items()]
        return np.column_stack([terms, *(np.array(one) for one in added)])

    def probability(self, columns: Mapping[str, Any]) -> NDArray[np.float64] | None:
        """The probability of each row, shape (n_rows,); None where rounding or a missing value wants sklearn itself."""
        raw = self._numbers(columns)
        size = np.abs(raw) @ self.sizes + self.fixed_size
        total = self._terms(raw, columns).sum(axis=1) + self.bias
        if not ((size <= _MOST_OF_SUM) | (np.abs(total) - size * _ROUNDING > _SURE)).all():
            return None
        with np.errstate(over="ignore"):
            probability: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-total))
        return probability

    def as_values(self) -> dict[str, Any]:
        """The form as plain values that JSON keeps to the last bit; `of_values` takes them."""
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            **{name: getattr(self, name).tolist() for name in _ARRAYS},
            # A text can be None, which is no name in JSON.
            "texts": {name: list(table.items()) for name, table in self.texts.items()},
        }

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> LinearForm:
        """The form of which `as_values` are the values."""
        arrays = {name: np.array(values[name], dtype=np.float64) for name in _ARRAYS}
        texts = {name: dict(table) for name, table in values["texts"].items()}
        return cls(**{**values, **arrays, "numbers": tuple(values["numbers"]), "texts": texts})

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in the order of `terms`."""
        return (*self.numbers, *self.texts)


def _key(value: Any) -> Any:
    return None if value is None or value != value else value
