from __future__ import annotations

import subprocess
import sys

import pytest

from infra import container
from ml.errors import Misconfigured
from tests.support import ROOT


def test_a_role_lacking_its_variables_names_all_of_them() -> None:
    with pytest.raises(Misconfigured, match=r"AIRFLOW__CELERY__BROKER_URL, .*MLFLOW_TRACKING_URI"):
        container.environment(container.ROLES["celery-worker"](), {})


def test_what_a_container_is_given_wins() -> None:
    role = container.Role(["x"], {"A": "ours", "B": "ours"})

    assert container.environment(role, {"A": "theirs"}) == {"A": "theirs", "B": "ours"}


@pytest.mark.parametrize("name", container.ROLES)
def test_no_role_holds_a_secret_or_writes_one_into_a_command_line(name: str) -> None:
    role = container.ROLES[name]()

    words = " ".join([*role.command, *role.env])
    assert "PASSWORD" not in words.upper().replace("MLFLOW_TRACKING_PASSWORD", "")
    assert not any("://" in value and "@" in value for value in role.env.values())


def test_airflow_has_the_patience_of_the_embedded_stack() -> None:
    from infra.airflow_server import fixed_env

    for name in ("airflow-api-server", "airflow-scheduler", "celery-worker"):
        assert fixed_env().items() <= dict(container.ROLES[name]().env).items()


def test_the_scheduler_answers_its_own_health_check() -> None:
    assert container.ROLES["airflow-scheduler"]().env["AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK"] == "True"


def test_an_unknown_role_is_told_what_there_is() -> None:
    command = [sys.executable, "-m", "infra.container", "airflow"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "airflow-scheduler" in done.stderr
    assert "Traceback" not in done.stderr
