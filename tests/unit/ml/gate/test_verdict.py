"""A verdict in short, as a tag keeps it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ml.gate import verdict as gate
from ml.gate.verdict import Verdict


def test_the_short_verdict_fits_into_a_tag() -> None:
    checks = tuple(gate.Check(str(n), "failed", "x" * 900) for n in range(50))

    short = Verdict(False, checks, 300, "test_f1").short()

    assert len(short) < 5000
    assert json.loads(short)["passed"] is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"passed": true, "reasons": []}', {"passed": True, "reasons": []}),
        ('{"passed": false, "reasons": ["worse"]}', {"passed": False, "reasons": ["worse"]}),
        ('{"passed": false}', {"passed": False, "reasons": []}),
        (None, None), ("", None), ("{", None), ("[]", None), ('{"passed": "yes"}', None),
    ],
)  # fmt: skip
def test_a_short_verdict_is_read_or_left_out(text: str | None, expected: Any) -> None:
    assert gate.read_short(text) == expected
