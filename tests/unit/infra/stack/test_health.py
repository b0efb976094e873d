"""What keeps a part from its job, in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.stack.health import NotReady
from infra.stack.parts import PARTS
from infra.stack.plan import Plan
from tests.support import plan_of


def test_whatever_keeps_a_part_from_its_job_is_told_in_one_line() -> None:
    def fail(plan: Plan) -> str:
        raise OSError("connection refused\nIs the server running?")

    with pytest.raises(NotReady, match=r"^connection refused$"):
        replace(PARTS[0], check=fail).look(plan_of(Path("/nowhere")))
