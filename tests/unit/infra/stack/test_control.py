"""A start, a look and a stop, of the parts that need nothing but this machine."""

from __future__ import annotations

from infra.stack.info import StackInfo, status
from tests.unit.conftest import STORES


def test_what_was_started_does_its_job_and_the_rest_is_told_apart(stores: StackInfo) -> None:
    shown = {part.name: part for part in status(stores)}

    assert {name for name, part in shown.items() if part.state == "ready"} == set(STORES)
