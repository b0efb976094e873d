"""Which runs a list shows, and in what order: conditions such as `test_roc_auc>0.9`. Pure.

A name is a metric, a parameter, a tag, or a field of the list (`state`, `started_at`, `duration_s`, `model`, ...).
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml.errors import BadInput

Facts = Mapping[str, Any]
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, "=": operator.eq, ">": operator.gt, "<": operator.lt,
    "~": lambda fact, wanted: str(wanted).casefold() in str(fact).casefold(),
}  # fmt: skip
_CONDITION = re.compile(r"^\s*(?P<name>[^<>=!~]+?)\s*(?P<sign>>=|<=|!=|=|>|<|~)\s*(?P<value>.*?)\s*$", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """A name, a sign and a value; both sides are compared as numbers where they are numbers, else as text."""

    name: str
    sign: str
    value: str

    def holds(self, facts: Facts) -> bool:
        """Whether a run fulfils it; one that has no such name fulfils `!=` alone."""
        fact = facts.get(self.name)
        if fact is None:
            return self.sign == "!="
        ours, wanted = as_number(fact), as_number(self.value)
        if self.sign != "~" and ours is not None and wanted is not None:
            return _OPERATORS[self.sign](ours, wanted)
        return _OPERATORS[self.sign](str(fact), self.value)


def parse_condition(text: str) -> Condition:
    """Reads a condition; `BadInput` where it has no sign, or no name.

    >>> parse_condition("test_roc_auc >= 0.9")
    Condition(name='test_roc_auc', sign='>=', value='0.9')
    """
    match = _CONDITION.match(text)
    if match is None:
        raise BadInput(
            f"{text!r} is no condition: write NAME SIGN VALUE with >=, <=, !=, =, >, < or ~ (holds the text)"
        )
    return Condition(*match.group("name", "sign", "value"))


def as_number(value: Any) -> float | None:
    """A value as a number, or None where it is none.

    >>> as_number("0.5"), as_number("x"), as_number(True)
    (0.5, None, None)
    """
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def check_names(names: Iterable[str], runs: Sequence[Facts]) -> None:
    """Refuses, with `BadInput`, a name that no run has: that is a slip more often than a wish."""
    there = {name for facts in runs for name in facts}
    for name in names:
        if runs and name not in there:
            near = difflib.get_close_matches(name, sorted(there), n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise BadInput(f"no run has {name!r}{hint}: name a metric, a parameter, a tag or a field of the list")


def sort_key(facts: Facts, name: str) -> tuple[int, float, str]:
    """What runs are ordered by: numbers before text."""
    value = facts.get(name)
    number = as_number(value)
    return (0, number, "") if number is not None else (1, 0.0, str(value))
