"""The process manager's configuration."""

from __future__ import annotations

from pathlib import Path

from infra.stack import parts
from infra.stack.supervision import Supervisor
from tests.support import plan_of


def test_the_managers_configuration_holds_no_secret(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)

    text = Supervisor(plan).configuration()

    assert not [value for value in vars(plan.credentials).values() if value in text]
    assert text.count("[program:") == len(parts.PARTS)
