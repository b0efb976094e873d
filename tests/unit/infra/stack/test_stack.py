"""What a start and a stop look at on this machine, without a server."""

from __future__ import annotations

import shlex
from configparser import ConfigParser
from dataclasses import replace
from pathlib import Path

import pytest

from infra.credentials import Credentials
from infra.settings import DEFAULT_PORTS, INTERNAL_PORTS, Settings
from infra.stack import control, parts, supervision
from infra.stack.parts import PARTS, Plan
from infra.stack.startup import StackError, _init_airflow
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
    monkeypatch.setattr(parts.sys, "executable", python)
    plan = _plan(tmp_path / "a home")

    config = ConfigParser(interpolation=None)
    config.read_string(supervision.configuration(plan, tmp_path / "socket", tmp_path / "pid"))

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
        _init_airflow(plan, 0.5)

    assert caught.value.hint == ["  migrating"]
