"""Who promoted a version, as far as its tags tell."""

from __future__ import annotations

from serving.api.status import promotion


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
