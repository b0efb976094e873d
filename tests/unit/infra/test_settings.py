"""Settings, ports, secrets and the configuration that follows from them."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from infra.credentials import Credentials, write_private
from infra.servers import airflow_server, object_store, postgres
from infra.settings import DEFAULT_PORTS, INTERNAL_PORTS, Settings
from infra.stack import parts, ports
from infra.stack.launch import part_env
from infra.stack.plan import Plan, git_commit
from infra.stack.supervision import Supervisor
from ml.errors import Misconfigured

PORTS = {**DEFAULT_PORTS, **{name: 20000 + number for number, name in enumerate(INTERNAL_PORTS)}}


def _settings(home: Path, **environ: str) -> Settings:
    return Settings.from_env({"TRACKYARD_HOME": str(home), **environ})


def _plan(home: Path) -> Plan:
    return Plan(_settings(home), PORTS, Credentials())


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="TRACKYARD_PORT_AIRFLOW"):
        _settings(tmp_path, TRACKYARD_PORT_AIRFLOW="1")


@pytest.mark.parametrize("value", ["0", "65536", "eighty", "-1", "80.5"])
def test_a_port_that_is_none_is_named_with_its_setting(tmp_path: Path, value: str) -> None:
    with pytest.raises(Misconfigured, match="TRACKYARD_REDIS_PORT"):
        _settings(tmp_path, TRACKYARD_REDIS_PORT=value)


def test_only_a_pipeline_file_that_was_not_named_may_be_missing(tmp_path: Path) -> None:
    unnamed = replace(_settings(tmp_path), folder=tmp_path, pipeline_file=tmp_path / "pipeline.yaml")
    named = _settings(tmp_path, TRACKYARD_PIPELINE_FILE=str(tmp_path / "pipelin.yaml"))

    assert unnamed.defaults_file is None
    assert named.defaults_file == tmp_path / "pipelin.yaml"
    (tmp_path / "pipeline.yaml").touch()
    assert unnamed.defaults_file == tmp_path / "pipeline.yaml"


def test_two_parts_cannot_be_given_one_port(tmp_path: Path) -> None:
    settings = _settings(tmp_path, TRACKYARD_REDIS_PORT="4000", TRACKYARD_S3_PORT="4000")

    with pytest.raises(Misconfigured, match="TRACKYARD_S3_PORT is 4000"):
        ports.choose(settings, lambda text: None, free=lambda port: True)


def test_ports_are_all_different_and_remembered(tmp_path: Path) -> None:
    settings = _settings(tmp_path)

    chosen = ports.choose(settings, lambda text: None, free=lambda port: True)

    assert len(set(chosen.values())) == len(PORTS)
    assert ports.remembered(settings) == chosen


def test_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"

    first, second = Credentials.load_or_create(path), Credentials.load_or_create(path)

    assert first == second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(set(json.loads(path.read_text()).values())) == len(json.loads(path.read_text()))


def test_secrets_hide_themselves() -> None:
    secret = Credentials()

    assert secret.redis_password not in repr(secret)
    assert secret.redis_password not in f"{secret}"


def test_secrets_that_others_can_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    Credentials.load_or_create(path)
    path.chmod(0o644)

    with pytest.raises(Misconfigured, match="chmod 600"):
        Credentials.load(path)


def test_a_secret_that_a_newer_version_needs_is_added(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    old = {"redis_password": "kept"}
    write_private(path, json.dumps(old))

    found = Credentials.load_or_create(path)

    assert found.redis_password == "kept"
    assert json.loads(path.read_text())["flower_password"] == found.flower_password


@pytest.mark.parametrize("part", parts.PARTS, ids=lambda part: part.name)
def test_no_part_has_a_secret_in_its_command_line(tmp_path: Path, part: parts.Part) -> None:
    plan = _plan(tmp_path)
    secrets = [value for name, value in vars(plan.credentials).items()]

    command = " ".join(part.launch(plan).command)

    assert not [secret for secret in secrets if secret in command]


def test_the_managers_configuration_holds_no_secret(tmp_path: Path) -> None:
    plan = _plan(tmp_path)

    text = Supervisor(plan).configuration()

    assert not [value for value in vars(plan.credentials).values() if value in text]
    assert text.count("[program:") == len(parts.PARTS)


def test_the_users_own_variables_do_not_reach_a_part() -> None:
    env = part_env({"PATH": "/bin", "AIRFLOW__CORE__EXECUTOR": "X", "PYTHONPATH": "/x"}, {"OWN": "1"}, "/home")

    assert env["PATH"] == "/bin"
    assert env["OWN"] == "1"
    assert "AIRFLOW__CORE__EXECUTOR" not in env
    assert "PYTHONPATH" not in env


def test_the_arithmetic_that_somebody_chose_is_a_parts_too() -> None:
    chosen = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "512"}

    assert part_env({"PATH": "/bin", **chosen}, {}, "/home").items() >= chosen.items()


def test_parts_wait_only_for_parts_that_come_before_them() -> None:
    seen: set[str] = set()
    for part in parts.PARTS:
        assert set(part.needs) <= seen
        seen.add(part.name)


def test_mail_goes_to_the_local_server_unless_told_otherwise() -> None:
    local = json.loads(airflow_server.smtp_connection("", ("127.0.0.1", 11025)))
    real = json.loads(
        airflow_server.smtp_connection("smtp://me:p%40ss@mail.example.com:587?from=me@example.com", ("127.0.0.1", 1))
    )

    assert (local["host"], local["port"]) == ("127.0.0.1", 11025)
    assert (real["host"], real["port"], real["password"]) == ("mail.example.com", 587, "p@ss")
    assert real["extra"]["from_email"] == "me@example.com"
    assert real["extra"]["disable_ssl"] is True
    assert real["extra"]["disable_tls"] is False


@pytest.mark.parametrize("url", ["mail.example.com", "http://mail.example.com", "smtp://"])
def test_a_mail_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="TRACKYARD_SMTP_URL"):
        airflow_server.smtp_connection(url, ("127.0.0.1", 1))


def test_the_object_store_closes_every_port(tmp_path: Path) -> None:
    object_store.create(tmp_path, Credentials())

    rules = (tmp_path / "config" / "security.toml").read_text()
    command = object_store.command(tmp_path, PORTS, tmp_path)

    for role in ("master", "volume", "filer", "s3"):
        assert f"[grpc.{role}]" in rules
    assert "-disableHttp=true" in command
    assert "-master.telemetry=false" in command
    assert stat.S_IMODE((tmp_path / "config" / "key.pem").stat().st_mode) == 0o600


def test_every_database_has_an_owner_with_a_password() -> None:
    secret = Credentials()

    urls = {postgres.url(1, database, secret) for database in postgres.DATABASES}

    assert len(urls) == len(postgres.DATABASES)


def test_the_commit_of_a_wheel_is_the_one_that_it_brought(tmp_path: Path) -> None:
    (tmp_path / "REVISION").write_text("5dd27a9-dirty\n")

    assert git_commit(tmp_path) == "5dd27a9-dirty"
