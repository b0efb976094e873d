"""Each check of the doctor, well and unwell."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.settings import Settings
from infra.stack import doctor
from infra.stack.info import PartStatus
from ml.errors import AirflowDown


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        root=tmp_path,
        folder=tmp_path,
        home=tmp_path / "home",
        ports={"mlflow": 5001},
        pipeline_file=tmp_path / "p.yaml",
    )


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10), "wrong"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "wrong")]
)
def test_python_is_3_11_to_3_13(version: tuple[int, int], state: str) -> None:
    assert doctor.python_version(version).state == state


def test_a_package_of_another_version_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("mlflow==3.17.2 \\\n    --hash=sha256:00\npandas==3.1.0\n")

    check = doctor.packages(lock, {"mlflow": "3.17.2", "pandas": "2.0.0"}.get)

    assert (check.state, check.found) == ("wrong", "pandas 2.0.0 instead of 3.1.0")
    assert doctor.packages(lock, {"mlflow": "3.17.2", "pandas": "3.1.0"}.get).state == "ok"


def test_a_wheel_may_be_installed_with_other_versions_than_those_that_were_tested(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("pandas==3.1.0\n")

    check = doctor.packages(lock, {"pandas": "3.1.1"}.get, is_checkout=False)

    assert (check.state, check.found) == ("note", "pandas 3.1.1 instead of 3.1.0")
    assert f"pip install -r {lock}" in check.do


def test_secrets_that_others_can_read_are_wrong(settings: Settings) -> None:
    settings.home.mkdir()
    settings.secrets_file.write_text("{}")
    settings.secrets_file.chmod(0o644)

    check = doctor.folder(settings)

    assert check.state == "wrong"
    assert f"chmod 600 {settings.secrets_file}" in check.do


def test_a_folder_that_is_not_there_yet_is_fine(settings: Settings) -> None:
    assert doctor.folder(settings).state == "ok"


def test_disk_and_memory_are_measured_against_the_settings(settings: Settings) -> None:
    assert [doctor.disk(settings, free).state for free in (511, 512)] == ["wrong", "ok"]
    assert [doctor.memory(settings, free).state for free in (2047, 2048)] == ["wrong", "ok"]


def test_a_pipeline_file_with_an_unknown_key_is_wrong(settings: Settings) -> None:
    assert settings.pipeline_file is not None
    settings.pipeline_file.write_text("splitt: {}\n")

    check = doctor.configuration(settings)

    assert check.state == "wrong"
    assert "did you mean split?" in check.found


def test_a_taken_port_is_wrong_only_if_it_was_set(settings: Settings) -> None:
    checks = {check.name: check for check in doctor.free_ports(settings, lambda port: False, lambda port: "nginx")}

    assert checks["port mlflow"].state == "wrong"
    assert checks["port airflow"].state == "note"
    assert "TRACKYARD_AIRFLOW_PORT" in checks["port airflow"].do


def test_a_part_that_is_not_ready_says_where_its_log_is() -> None:
    parts = [
        PartStatus("s3", "ready", "put, get and delete work", None, 1, 1),
        PartStatus("mlflow", "failed", "500", None, 1, 1),
    ]

    checks = doctor.check_parts(parts)

    assert [check.state for check in checks] == ["ok", "wrong"]
    assert checks[1].do == "see 'trackyard logs mlflow'"


def test_a_paused_dag_is_worth_a_note_and_an_airflow_that_is_away_is_wrong() -> None:
    def away() -> dict[str, object]:
        raise AirflowDown("Airflow does not answer")

    assert doctor.airflow_login(lambda: {"is_paused": True}).state == "note"
    assert doctor.airflow_login(lambda: {"is_paused": False}).state == "ok"
    assert doctor.airflow_login(away).state == "wrong"


@pytest.mark.parametrize(
    ("date", "state"),
    [
        ("Sat, 31 Jan 2026 09:30:15 GMT", "ok"),
        ("Sat, 31 Jan 2026 09:35:15 GMT", "wrong"),
        (None, "note"),
        ("x", "note"),
    ],
)
def test_a_clock_that_is_minutes_off_is_wrong(date: str | None, state: str) -> None:
    assert doctor.clock(date, datetime(2026, 1, 31, 9, 30, 20, tzinfo=UTC)).state == state


@pytest.mark.parametrize(
    ("told", "state", "found"),
    [
        ({"version": "3", "champion": "3"}, "ok", "version 3 is served"),
        ({"version": "2", "champion": "3", "error": "its file was changed"}, "wrong", "version 2 answers instead: its"),
        ({"version": None, "champion": "3", "error": "signed otherwise"}, "wrong", "nothing answers: signed otherwise"),
        ({"version": None, "champion": "3", "error": None}, "wrong", "nothing answers: it is being loaded"),
        ({"version": None, "champion": None}, "note", "no version is champion"),
    ],
)
def test_a_champion_that_is_not_served_is_wrong(told: dict[str, Any], state: str, found: str) -> None:
    sound = {"name": "other", "version": "1", "champion": "1"}

    main, other = doctor.champions(lambda: {"model": {"name": "ad-click", **told}, "models": [sound]})

    assert (main.name, main.state, other.state) == ("champion of ad-click", state, "ok")
    assert found in main.found


def test_a_service_that_does_not_tell_what_it_serves_is_noted() -> None:
    def away() -> dict[str, Any]:
        raise httpx.ConnectError("refused")

    (check,) = doctor.champions(away)

    assert (check.state, "refused" in check.found) == ("note", True)
