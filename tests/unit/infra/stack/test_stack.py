"""What a start and a stop look at on this machine, without a server."""

from __future__ import annotations

import shlex
from configparser import ConfigParser
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from infra.credentials import Credentials
from infra.settings import DEFAULT_PORTS, INTERNAL_PORTS, Settings
from infra.stack import control, doctor
from infra.stack import plan as plan_module
from infra.stack.health import NotReady
from infra.stack.info import StackInfo, status
from infra.stack.parts import PARTS, Part
from infra.stack.plan import Launch, Plan
from infra.stack.preparation import StackError, init_airflow, init_mlflow
from infra.stack.startup import Startup
from infra.stack.supervision import Supervisor
from ml.errors import Misconfigured
from tests.support import Silent, clean_environ

_CARGO_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by cargo.\n"


def _plan(home: Path) -> Plan:
    ports = dict.fromkeys((*DEFAULT_PORTS, *INTERNAL_PORTS), 1)
    return Plan(Settings.from_env(clean_environ(home)), ports, Credentials())


def test_a_cache_of_another_program_is_no_home_of_ours(tmp_path: Path) -> None:
    (tmp_path / "CACHEDIR.TAG").write_text(_CARGO_TAG)
    (tmp_path / "thesis.txt").write_text("mine")
    settings = Settings.from_env(clean_environ(tmp_path))

    with pytest.raises(Misconfigured, match="was not made by"):
        control.wipe(settings)
    with pytest.raises(Misconfigured, match="holds files of something else"):
        control.up(settings, Silent())

    assert {path.name for path in tmp_path.iterdir()} == {"CACHEDIR.TAG", "thesis.txt"}


def test_a_checkout_may_be_in_a_folder_with_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = "/home/ann/my projects/100%/.venv/bin/python"
    monkeypatch.setattr(plan_module.sys, "executable", python)
    plan = _plan(tmp_path / "a home")

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


def test_the_set_up_of_airflow_ends_with_the_time_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _plan(tmp_path)
    plan = replace(plan, settings=replace(plan.settings, start_timeout_s=7))
    plan.settings.log_dir.mkdir(parents=True)
    monkeypatch.setattr(Plan, "python", lambda self, *module: ["sh", "-c", "echo migrating; exec sleep 60"])

    with pytest.raises(StackError, match=r"within 7 s.*TRACKYARD_START_TIMEOUT_S") as caught:
        init_airflow(plan, 0.5)

    assert caught.value.hint == ["  migrating"]


def test_a_migration_that_was_done_for_this_version_is_not_looked_for_again(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "migrated").write_text(f"mlflow {version('mlflow')}")

    # Nobody listens there: a look at the database would raise.
    init_mlflow(_plan(tmp_path), 1)


class _Manager:
    """A process manager that says that whatever was started runs, and remembers the order."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def start_part(self, name: str) -> None:
        self.started.append(name)

    def is_running(self) -> bool:
        return True

    def infos(self) -> dict[str, dict[str, Any]]:
        return {name: {"statename": "RUNNING", "pid": 0} for name in self.started}


def test_a_part_that_is_added_to_the_table_is_started_in_order_checked_and_shown(tmp_path: Path) -> None:
    plan, manager, listener = _plan(tmp_path), _Manager(), Silent()
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

    assert manager.started.index("cache") > manager.started.index("redis")
    assert ("cache", "ready", plan.url("s3")) in listener.parts
    assert (shown["cache"].state, shown["cache"].detail) == ("ready", "it is warm")
    assert doctor.Check("cache", doctor.OK, "it is warm") in doctor.check_parts(shown.values())
    assert config["program:cache"]["stopasgroup"] == "false"


def test_whatever_keeps_a_part_from_its_job_is_told_in_one_line() -> None:
    def fail(plan: Plan) -> str:
        raise OSError("connection refused\nIs the server running?")

    with pytest.raises(NotReady, match=r"^connection refused$"):
        replace(PARTS[0], check=fail).look(_plan(Path("/nowhere")))
