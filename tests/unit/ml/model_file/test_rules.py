"""Each rule for a value of a model's file passes what it says, and refuses whatever differs from that by a little."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ml.errors import ForbiddenType, Untrusted
from ml.model_file import rules
from ml.model_file.rules import Rule
from ml.model_file.skops_file import Thing

PAIR = rules.thing("a.Pair", {"one": rules.whole(1), "two": rules.text}, {"three": rules.truth})


@pytest.mark.parametrize(
    ("rule", "passed", "refused"),
    [
        (rules.one_of(1, None), [1, None], [True, 1.0, 0, "1", [1]]),
        (rules.one_of(1.0, True), [1.0, True], [1]),
        (rules.equal((0, 1), "a range"), [(0, 1)], [[0, 1], (0, 2)]),
        (rules.whole(1, 3), [1, 3, np.int64(2)], [0, 4, True, 2.0, np.float64(2), "2"]),
        (rules.whole(0), [2**63], [2**63 + 1]),
        (rules.number(0, 1), [0, 1, 0.5, np.float32(1)], [-0.1, 1.1, True, math.nan, "1"]),
        (rules.number(), [-1e300], [math.inf, -math.inf, math.nan]),
        (rules.text, ["", "a"], [b"a", np.str_("a"), None]),
        (rules.truth, [True, False], [0, 1, np.True_]),
        (rules.nan, [math.nan], [0.0, None, np.float64("nan")]),
        (rules.dtype("float64"), [np.dtype("float64")], ["float64", np.dtype("float32")]),
        (rules.either(rules.whole(1), rules.text), [1, "a"], [0, None]),
        (rules.array("float64", 1, 2), [np.zeros((1, 2))],
         [np.zeros((2, 1)), np.zeros((1, 2), "float32"), np.array([[0, np.inf]]), [[0.0, 0.0]]]),
        (rules.row("float64"), [np.array([]), np.array([np.nan])], [np.zeros((1, 1)), np.zeros(1, "int64"), [1.0]]),
        (rules.objects(rules.text, 2), [np.array(["a", "b"], object)],
         [np.array(["a"], object), np.array(["a", None], object), np.array(["a", "b"]), ["a", "b"]]),
        (rules.objects(rules.text), [np.array(["a"], object)], [np.array([1], object)]),
        (rules.each(rules.text, 1), [["a"]], [[], ["a", "b"], [1], ("a",)]),
        (rules.each(rules.text), [[], ["a", "b"]], [["a", 1]]),
        (PAIR, [Thing("a.Pair", {"one": 1, "two": "b"}), Thing("a.Pair", {"one": 1, "two": "b", "three": True}),
                Thing("a.Pair", {"one": 1, "two": "b", "_sklearn_version": "1.9.1"})],
         [Thing("a.Pair", {"one": 1}), Thing("a.Pair", {"one": 1, "two": "b", "four": 4}),
          Thing("a.Pair", {"one": 0, "two": "b"}), Thing("a.Pair", {"one": 1, "two": "b", "three": 3}),
          Thing("a.Pair", {"one": 1, "two": "b"}, (1,)), Thing("a.Other", {"one": 1, "two": "b"}),
          {"one": 1, "two": "b"}]),
    ],
)  # fmt: skip
def test_a_rule_passes_what_it_says_and_nothing_else(rule: Rule, passed: list[Any], refused: list[Any]) -> None:
    for value in passed:
        rule(value, "it")
    for value in refused:
        with pytest.raises(Untrusted):
            rule(value, "it")


@pytest.mark.parametrize(
    ("rule", "value", "words"),
    [
        (rules.whole(1, 3), 4, "it is not a whole number from 1 to 3, as it is in every model of ours"),
        (rules.one_of(None, "all"), 4, "it is not None or 'all', as"),
        (rules.either(rules.truth, rules.text), 4, "it is not text, as"),
        (rules.each(rules.text), ["a", 4], r"it\[1\] is not text, as"),
        (PAIR, Thing("a.Pair", {"one": 1, "two": 4}), "it.two is not text, as"),
        (PAIR, Thing("a.Pair", {"two": "b", "four": 4}), r"it \(four, one\) is not a a.Pair as it is made, as"),
    ],
)
def test_what_is_refused_is_told_with_its_place(rule: Rule, value: Any, words: str) -> None:
    with pytest.raises(Untrusted, match=f"^{words}"):
        rule(value, "it")


def test_an_object_of_another_class_is_a_forbidden_type() -> None:
    with pytest.raises(ForbiddenType, match=r"^it is a os\.system, not a a\.Pair$"):
        PAIR(Thing("os.system"), "it")
