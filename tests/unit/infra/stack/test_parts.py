"""The table of parts: what each is started by, looked at and shown."""

from __future__ import annotations

import shlex
from configparser import ConfigParser
from dataclasses import replace
from pathlib import Path

import pytest

from infra.stack import doctor, parts
from infra.stack import plan as plan_module
from infra.stack.health import NotReady
from infra.stack.info import StackInfo, status
from infra.stack.parts import PARTS, Part
from infra.stack.plan import Launch, Plan
from infra.stack.startup import Startup
from infra.stack.supervision import Supervisor
from tests.fakes import Manager
from tests.support import Silent, plan_of


def test_a_checkout_may_be_in_a_folder_with_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = "/home/ann/my projects/100%/.venv/bin/python"
    monkeypatch.setattr(plan_module.sys, "executable", python)
    plan = plan_of(tmp_path / "a home")

    config = ConfigParser(interpolation=None)
    config.read_string(Supervisor(plan).configuration())

    for part in PARTS:
        command = config[f"program:{part.name}"]["command"].replace("%%", "%")
        assert shlex.split(command) == [python, "-m", "infra.stack.launch", part.name]
    start = next(part for part in PARTS if part.name == "celery-worker").launch(plan).env["TRACKYARD_SERVING_START"]
    assert shlex.split(start) == [python, "-m", "infra.stack.launch", "start", "serving"]


def test_the_service_may_finish_what_it_has_begun() -> None:
    from serving.__main__ import _STOP_S

    assert next(part for part in PARTS if part.name == "serving").stop_s > _STOP_S


def test_a_part_that_is_added_to_the_table_is_started_in_order_checked_and_shown(tmp_path: Path) -> None:
    plan, manager, listener = plan_of(tmp_path), Manager(), Silent()
    filled: list[str] = []

    def answer(plan: Plan) -> str:
        if not filled:
            raise NotReady("it is empty")
        return "it is warm"

    cache = Part(
        "cache", lambda plan: Launch(["cached"]), answer,
        needs=("redis",), set_up=lambda plan: filled.append("once"), url="s3", ends_its_children=True,
    )  # fmt: skip
    others = [replace(part, check=lambda plan: "fine", before=None, set_up=None) for part in PARTS]
    table = [cache, *others]

    Startup(plan, manager, listener, table).run()  # type: ignore[arg-type]
    shown = {part.name: part for part in status(StackInfo(plan), table, manager)}  # type: ignore[arg-type]
    config = ConfigParser(interpolation=None)
    config.read_string(Supervisor(plan).configuration(table))

    assert list(manager.processes).index("cache") > list(manager.processes).index("redis")
    assert ("cache", "ready", plan.url("s3")) in listener.parts
    assert (shown["cache"].state, shown["cache"].detail) == ("ready", "it is warm")
    assert doctor.Check("cache", doctor.OK, "it is warm") in doctor.check_parts(shown.values())
    assert config["program:cache"]["stopasgroup"] == "false"


@pytest.mark.parametrize("part", parts.PARTS, ids=lambda part: part.name)
def test_no_part_has_a_secret_in_its_command_line(tmp_path: Path, part: parts.Part) -> None:
    plan = plan_of(tmp_path)
    secrets = [value for name, value in vars(plan.credentials).items()]

    command = " ".join(part.launch(plan).command)

    assert not [secret for secret in secrets if secret in command]


def test_parts_wait_only_for_parts_that_come_before_them() -> None:
    seen: set[str] = set()
    for part in parts.PARTS:
        assert set(part.needs) <= seen
        seen.add(part.name)
