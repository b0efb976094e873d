"""When a version is promoted: what may be said of it, and what it is where nothing is said."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml.config.loading import resolve
from ml.config.promotion import BehaviourRule, GateConfig, PromotionConfig, SliceRule
from ml.config.schema import PipelineConfig
from ml.errors import Misconfigured


@pytest.mark.parametrize(
    ("promotion", "words"),
    [
        ("perhaps", "promotion.mode"),
        ({"gate": {"thresholds": {"accuracy": 1}}}, "promotion.gate.thresholds"),
        ({"gate": {"behaviour": [{"check": "direction", "column": "Age"}]}}, "effect"),
        ({"gate": {"slice": []}}, "did you mean slices"),
    ],
)
def test_a_wrong_key_is_named(promotion: Any, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        resolve(PipelineConfig(), {"promotion": promotion})


@pytest.mark.parametrize(
    ("key", "allowed", "refused"),
    [
        ("leak", [None, 0.51, 1], [0.5, 1.01]),
        ("shrink", [None, 0.01, 1], [0, 1.01]),
        ("margin", [0], [-0.01]),
        ("confidence", [0.51, 0.99], [0.5, 1]),
        ("resamples", [200, 10_000], [199, 10_001]),
        ("min_rows", [1, 2**31 - 1], [0, 2**31]),
    ],
)
def test_the_gate_takes_what_lies_within_its_bounds(key: str, allowed: list[Any], refused: list[Any]) -> None:
    assert [getattr(GateConfig.model_validate({key: value}), key) for value in allowed] == allowed
    for value in refused:
        with pytest.raises(ValidationError, match=key):
            GateConfig.model_validate({key: value})


def test_an_answer_is_waited_for_at_most_thirty_days() -> None:
    assert PromotionConfig(approval_hours=720).approval_hours == 720
    for hours in (0, 720.5):
        with pytest.raises(ValidationError, match="approval_hours"):
            PromotionConfig(approval_hours=hours)


@pytest.mark.parametrize(
    ("rule", "is_allowed"),
    [
        ({"check": "direction", "effect": "up"}, True),
        ({"check": "invariance"}, True),
        ({"check": "direction"}, False),
        ({"check": "invariance", "effect": "down"}, False),
    ],
)
def test_a_direction_has_an_effect_and_an_invariance_none(rule: dict[str, Any], is_allowed: bool) -> None:
    if is_allowed:
        assert BehaviourRule.model_validate({"column": "Age", **rule}).tolerance == 0.05
    else:
        with pytest.raises(ValidationError, match=r"effect \(up or down\) belongs to a direction check"):
            BehaviourRule.model_validate({"column": "Age", **rule})


def test_a_slice_is_cut_into_two_to_fifty_parts() -> None:
    assert [SliceRule(column="Age", floor=0.5, bins=bins).bins for bins in (2, 50)] == [2, 50]
    for bins in (1, 51):
        with pytest.raises(ValidationError, match="bins"):
            SliceRule(column="Age", floor=0.5, bins=bins)
