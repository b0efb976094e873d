"""Who promoted a version, and what the gate said, as far as its tags tell."""

from __future__ import annotations

from typing import Any

import pytest

from serving.api.status import promotion, verdict


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"passed": true, "reasons": []}', {"passed": True, "reasons": []}),
        ('{"passed": false, "reasons": ["worse"]}', {"passed": False, "reasons": ["worse"]}),
        ('{"passed": false}', {"passed": False, "reasons": []}),
        (None, None), ("", None), ("{", None), ("[]", None), ('{"passed": "yes"}', None),
    ],
)  # fmt: skip
def test_a_verdict_is_read_or_left_out(text: str | None, expected: Any) -> None:
    assert verdict(text) == expected


def test_a_promotion_is_told_by_either_name_of_its_tags() -> None:
    told = {"by": "ada", "at": "2026-01-01", "reason": "better"}

    for prefix in ("promoted", "promotion"):
        assert promotion({f"{prefix}.{key}": value for key, value in told.items()})["promoted"] == told
    assert promotion({})["promoted"] is None
    # What a run's decision left behind, which promoted nothing, is no promotion; and two are never mixed.
    assert promotion({"promotion.reason": "is worse"})["promoted"] is None
    earlier = {f"promotion.{key}": "earlier" for key in told}
    assert promotion({"promoted.by": "ada", "promoted.at": "now", **earlier})["promoted"] == {
        "by": "ada", "at": "now", "reason": None,
    }  # fmt: skip
