"""A start, a look and a stop, of the parts that need nothing but this machine."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.credentials import Credentials
from infra.settings import Settings
from infra.stack import control, doctor, health, launch, ports
from infra.stack.health import NotReady
from infra.stack.info import StackInfo
from infra.stack.parts import PARTS
from infra.stack.supervision import Supervisor
from ml.errors import Misconfigured, PipelineError
from tests.support import STORES, Silent, clean_environ, port_settings

BY_NAME = {part.name: part for part in PARTS}


def test_a_second_start_leaves_what_runs_and_starts_what_does_not(stores: StackInfo) -> None:
    supervisor, listener = Supervisor(stores.plan), Silent()
    before = {name: supervisor.info(name)["pid"] for name in STORES}
    supervisor.stop_parts(["smtp"])
    assert supervisor.info("smtp")["pid"] == 0

    again = control.up(stores.plan.settings, listener, STORES)

    after = {name: supervisor.info(name)["pid"] for name in STORES}
    assert again.urls == stores.urls
    assert {name for name in STORES if before[name] != after[name]} == {"smtp"}
    assert {name for name, state, _ in listener.parts if state == "ready"} == set(STORES)
    assert listener.said == []


def test_a_part_that_runs_may_be_asked_for_again_and_an_unknown_one_is_refused(
    stores: StackInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(stores.plan)
    before = supervisor.info("smtp")["pid"]
    for name, value in clean_environ(stores.plan.home).items():
        monkeypatch.setenv(name, value)

    launch.main(["start", "smtp"])

    assert supervisor.info("smtp")["pid"] == before
    with pytest.raises(PipelineError, match="did not start nothing: BAD_NAME"):
        supervisor.start_part("nothing")


def test_a_bucket_that_is_gone_is_named_and_comes_back_with_the_next_start(stores: StackInfo) -> None:
    part, plan = BY_NAME["s3"], stores.plan
    client = health.object_store.client(plan.ports["s3"], plan.credentials)
    client.delete_bucket(Bucket="mlflow")

    with pytest.raises(NotReady, match="bucket 'mlflow' is gone: 'trackyard up' makes it again"):
        part.look(plan)

    assert part.look(plan, at_start=True) == "put, get and delete work in both buckets"


def test_what_belongs_to_the_stores_is_closed_to_others(stores: StackInfo) -> None:
    stranger = replace(stores.plan, credentials=Credentials())

    for name in ("postgres", "redis", "s3"):
        with pytest.raises(NotReady):
            BY_NAME[name].look(stranger)


def test_without_a_worker_nobody_answers_a_ping(stores: StackInfo) -> None:
    with pytest.raises(NotReady, match="no worker answers a ping"):
        health.celery(stores.plan)


def test_a_start_on_a_machine_that_is_too_small_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "free_memory_mb", lambda: 10)
    settings = Settings.from_env(clean_environ(tmp_path / "home", **port_settings()))

    with pytest.raises(Misconfigured, match="memory: 10 MB free"):
        control.up(settings, Silent())

    assert not (settings.home / "postgres").exists()


def test_a_home_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    settings = Settings.from_env(clean_environ(tmp_path / "file" / "home"))

    with pytest.raises(Misconfigured, match=r"cannot be used \(Not a directory\): set TRACKYARD_HOME"):
        control.up(settings, Silent())


def test_what_never_started_is_stopped_and_wiped_without_a_word(tmp_path: Path) -> None:
    settings, listener = Settings.from_env(clean_environ(tmp_path / "home")), Silent()

    control.down(settings, listener)
    control.wipe(settings)

    assert listener.said == []


def test_a_port_that_is_taken_is_told_with_who_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings.from_env(clean_environ(tmp_path, TRACKYARD_SMTP_PORT=str(port)))

        with pytest.raises(
            Misconfigured, match=rf"port {port} \(TRACKYARD_SMTP_PORT\) is taken by .*\(process {os.getpid()}\)"
        ):
            ports.choose(settings, lambda text: None)

        assert not settings.ports_file.exists()


def test_a_part_becomes_its_program_with_its_own_variables_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[Any] = []
    settings = Settings.from_env(clean_environ(tmp_path))
    Credentials.load_or_create(settings.secrets_file)
    ports.choose(settings, lambda text: None, lambda port: True)
    (tmp_path / "mlflow").mkdir()
    for name, value in clean_environ(tmp_path, PYTHONPATH="/somewhere", LANG="C").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execve", lambda *arguments: became.append(arguments))

    launch.main(["mlflow"])

    [(program, command, env)] = became
    assert program == command[0]
    assert command[1:4] == ["-m", "infra.servers.tracking_process", "--host"]
    assert Path.cwd() == tmp_path / "mlflow"
    assert (env["LANG"], env["TRACKYARD_STACK"], env["NO_PROXY"]) == ("C", str(tmp_path), "*")
    assert "PYTHONPATH" not in env
    secrets = Credentials.load(settings.secrets_file)
    assert not {secrets.postgres_password, secrets.airflow_api_secret} & set(env.values())
    assert not any(secret in word for word in command for secret in vars(secrets).values())
    assert psutil.pid_exists(int((tmp_path / "processes" / "mlflow").read_text().strip("[]").split(",")[0]))


_CARGO_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by cargo.\n"


def test_a_cache_of_another_program_is_no_home_of_ours(tmp_path: Path) -> None:
    (tmp_path / "CACHEDIR.TAG").write_text(_CARGO_TAG)
    (tmp_path / "thesis.txt").write_text("mine")
    settings = Settings.from_env(clean_environ(tmp_path))

    with pytest.raises(Misconfigured, match="was not made by"):
        control.wipe(settings)
    with pytest.raises(Misconfigured, match="holds files of something else"):
        control.up(settings, Silent())

    assert {path.name for path in tmp_path.iterdir()} == {"CACHEDIR.TAG", "thesis.txt"}
