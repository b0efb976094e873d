"""The process manager: its configuration, and what it says where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.stack import parts
from infra.stack.supervision import Supervisor
from ml.errors import PipelineError
from tests.support import plan_of


def test_the_managers_configuration_holds_no_secret(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)

    text = Supervisor(plan).configuration()

    assert not [value for value in vars(plan.credentials).values() if value in text]
    assert text.count("[program:") == len(parts.PARTS)


def test_a_stack_that_is_not_running_says_how_to_start_it(tmp_path: Path) -> None:
    supervisor = Supervisor(plan_of(tmp_path))

    assert not supervisor.is_running()
    supervisor.stop()
    with pytest.raises(PipelineError, match="the stack is not running: 'trackyard up' starts it"):
        supervisor.info("redis")


def test_a_folder_for_sockets_that_others_can_open_is_refused(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    plan.runtime_dir.mkdir(mode=0o700)
    try:
        plan.runtime_dir.chmod(0o755)
        with pytest.raises(PipelineError, match="is open to them: remove it"):
            Supervisor(plan).start()
    finally:
        plan.runtime_dir.rmdir()
