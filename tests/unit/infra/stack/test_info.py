"""What is told of a stack: where it is, how to log in, and how each of its parts does."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from infra.credentials import Credentials
from infra.stack import control, ports
from infra.stack.health import NotReady
from infra.stack.info import PartStatus, StackInfo, status
from infra.stack.parts import PARTS
from infra.stack.plan import Plan
from ml.errors import Misconfigured
from tests.fakes import Manager
from tests.support import STORES, plan_of, settings_of


def test_what_was_started_does_its_job_and_the_rest_is_told_apart(stores: StackInfo) -> None:
    shown = {part.name: part for part in status(stores)}

    assert {name for name, part in shown.items() if part.state == "ready"} == set(STORES)
    assert {part.state for name, part in shown.items() if name not in STORES} == {"stopped"}
    assert shown["postgres"].detail.startswith("PostgreSQL 18")
    assert shown["redis"].detail.startswith("Redis ")
    assert shown["s3"].detail == "put, get and delete work in both buckets"
    assert shown["smtp"].detail == "EHLO is answered"
    assert control.is_running(stores)


def _status(plan: Plan, manager: Manager, problem: str = "") -> PartStatus:
    def look(plan: Plan) -> str:
        if problem:
            raise NotReady(problem)
        return "it answers"

    part = replace(next(part for part in PARTS if part.name == "serving"), check=look)
    [found] = status(StackInfo(plan), [part], manager)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("process", "problem", "state", "detail"),
    [
        ("RUNNING", "", "ready", "it answers"),
        ("RUNNING", "no model", "starting", "no model"),
        ("STARTING", "no model", "starting", "no model"),
        ("BACKOFF", "refused", "failed", "refused"),
        *((state, "", "stopped", "not running") for state in ("STOPPED", "EXITED", "FATAL", "STOPPING")),
    ],
)
def test_a_part_is_what_its_process_and_its_own_answer_say(
    tmp_path: Path, process: str, problem: str, state: str, detail: str
) -> None:
    plan = plan_of(tmp_path)

    found = _status(plan, Manager(serving={"statename": process, "pid": 0}), problem)

    assert found == PartStatus("serving", state, detail, plan.url("serving"), None, None)


def test_memory_is_told_of_a_part_that_runs_and_nothing_runs_without_a_manager(tmp_path: Path) -> None:
    plan, process = plan_of(tmp_path), {"statename": "RUNNING", "pid": os.getpid()}

    running = _status(plan, Manager(serving=process))
    stopped = _status(plan, Manager(is_running=False, serving=process))

    assert running.pid == os.getpid()
    assert running.memory_bytes is not None
    assert running.memory_bytes > 2**20
    assert (stopped.state, stopped.pid, stopped.memory_bytes) == ("stopped", None, None)


@pytest.mark.parametrize("there", [(), ("ports",), ("secrets",)])
def test_a_home_in_which_nothing_is_set_up_is_named(tmp_path: Path, there: tuple[str, ...]) -> None:
    settings = settings_of(tmp_path)
    if "ports" in there:
        ports.choose(settings, lambda text: None, lambda port: True)
    if "secrets" in there:
        Credentials.load_or_create(settings.secrets_file)

    with pytest.raises(Misconfigured, match=rf"nothing is set up in {tmp_path}: run 'trackyard up'"):
        StackInfo.load(settings)


def test_what_was_set_up_is_found_again_with_its_addresses_and_logins(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    chosen = ports.choose(settings, lambda text: None, lambda port: True)
    secret = Credentials.load_or_create(settings.secrets_file)

    info = StackInfo.load(settings)
    logins = info.logins()

    assert info.urls == {
        name: f"http://127.0.0.1:{chosen[name]}" for name in ("s3", "mlflow", "airflow", "flower", "serving")
    }
    assert {name: (login["username"], login["password"]) for name, login in logins.items()} == {
        "airflow": ("admin", secret.airflow_admin_password),
        "mlflow": ("admin", secret.mlflow_admin_password),
        "flower": ("admin", secret.flower_password),
        "s3": (secret.s3_access_key, secret.s3_secret_key),
    }
    assert {name: login["url"] for name, login in logins.items()} == {name: info.urls[name] for name in logins}
    assert info.client_environ()["MLFLOW_TRACKING_PASSWORD"] == secret.mlflow_admin_password
    assert info.log_file("serving") == settings.log_dir / "serving.log"
