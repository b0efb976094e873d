"""Rules for what a value of a model's file may be, each a function that refuses all else. Pure.

A rule takes the value and where it was found, and raises `Untrusted` where it is not as the rule says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ml.errors import ForbiddenType, Untrusted
from ml.model_file.skops_file import Thing

Rule = Callable[[Any, str], None]


def need(holds: Any, at: str, expected: str) -> None:
    """Refuses as `Untrusted` what does not hold."""
    if not holds:
        raise Untrusted(f"{at} is not {expected}, as it is in every model of ours")


def that(test: Callable[[Any], Any], words: str) -> Rule:
    """What passes a test."""
    return lambda value, at: need(test(value), at, words)


def one_of(*allowed: Any) -> Rule:
    """One of some plain values; 1, 1.0 and true are three."""
    plain = (str, int, float, type(None))
    typed = {(type(one), one) for one in allowed}
    return that(
        lambda value: isinstance(value, plain) and (type(value), value) in typed, " or ".join(map(repr, allowed))
    )


def equal(expected: Any, words: str) -> Rule:
    """A list, tuple or object with this content, which the words tell."""
    return that(lambda value: type(value) is type(expected) and value == expected, words)


def whole(least: int, most: int = 2**63) -> Rule:
    """A whole number in a range."""
    return that(
        lambda value: isinstance(value, int | np.integer) and not isinstance(value, bool) and least <= value <= most,
        f"a whole number from {least} to {most}",
    )


def number(least: float = -math.inf, most: float = math.inf) -> Rule:
    """A finite number in a range."""

    def test(value: Any) -> bool:
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        return is_number and math.isfinite(value) and bool(least <= value <= most)

    return that(test, f"a number from {least} to {most}")


text = that(lambda value: type(value) is str, "text")
truth = that(lambda value: type(value) is bool, "true or false")
nan = that(lambda value: type(value) is float and math.isnan(value), "NaN")


def dtype(name: str) -> Rule:
    """The word of numpy for how numbers are laid out."""
    return that(lambda value: isinstance(value, np.dtype) and value == np.dtype(name), f"the dtype {name}")


def either(*rules: Rule) -> Rule:
    """What one of some rules lets pass; the last one's words are told."""

    def rule(value: Any, at: str) -> None:
        for one in rules[:-1]:
            try:
                return one(value, at)
            except Untrusted:
                continue
        return rules[-1](value, at)

    return rule


def array(kind: str, *shape: int) -> Rule:
    """An array of finite numbers of one dtype and shape."""
    return that(
        lambda value: _is_array(value, kind) and value.shape == shape and np.isfinite(value).all(),
        f"an array of {shape} finite numbers of {kind}",
    )


def row(kind: str) -> Rule:
    """An array of one dimension and any length, whose numbers need not be finite."""
    return that(lambda value: _is_array(value, kind) and value.ndim == 1, f"a list of {kind} values")


def _is_array(value: Any, kind: str) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.dtype(kind)


def objects(rule_of_one: Rule, count: int | None = None) -> Rule:
    """An array of objects, each as a rule says."""

    def rule(value: Any, at: str) -> None:
        row("object")(value, at)
        need(count in (None, len(value)), at, f"a list of {count} objects")
        for one in value:
            rule_of_one(one, f"a value of {at}")

    return rule


def each(rule_of_one: Rule, count: int | None = None) -> Rule:
    """A list, each of its items as a rule says."""

    def rule(value: Any, at: str) -> None:
        need(type(value) is list and count in (None, len(value)), at, f"a list of {'some' if count is None else count}")
        for number_, one in enumerate(value):
            rule_of_one(one, f"{at}[{number_}]")

    return rule


def thing(kind: str, attrs: Mapping[str, Rule], optional: Mapping[str, Rule] | None = None) -> Rule:
    """An object of exactly one class, with these attributes and no others but some that may be missing."""

    def rule(value: Any, at: str) -> None:
        need(isinstance(value, Thing) and not value.args, at, f"a {kind}")
        if value.kind != kind:
            raise ForbiddenType(f"{at} is a {value.kind}, not a {kind}")
        allowed = {**attrs, **(optional or {}), "_sklearn_version": text}
        missing, foreign = attrs.keys() - value.attrs.keys(), value.attrs.keys() - allowed.keys()
        need(not missing and not foreign, f"{at} ({', '.join(sorted(missing | foreign))})", f"a {kind} as it is made")
        for name, member in value.attrs.items():
            allowed[name](member, f"{at}.{name}")

    return rule
