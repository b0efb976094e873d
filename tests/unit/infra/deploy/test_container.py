from __future__ import annotations

import subprocess
import sys

import pytest

from infra.deploy import container
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


@pytest.mark.parametrize(
    ("tokens", "addresses"),
    [
        ("none", ""),
        ("none", "127.0.0.1 127.0.0.1"),
        ("none", "127.1.2.3 [::1]"),
        ("none", "localhost"),
        ("all", "0.0.0.0 0.0.0.0"),
        ("others", "0.0.0.0 127.0.0.1"),
    ],
)
def test_a_service_that_nobody_else_reaches_or_that_wants_a_token_starts(tokens: str, addresses: str) -> None:
    container.refuse_open_service({"TRACKYARD_SERVING_TOKENS": tokens, "TRACKYARD_BIND_ADDRESSES": addresses})


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "::", "192.168.1.5", "203.0.113.9", "server.example.com"])
@pytest.mark.parametrize("order", ["{} 127.0.0.1", "127.0.0.1 {}"], ids=["plain", "https"])
def test_a_service_open_to_others_without_a_token_does_not_start(address: str, order: str) -> None:
    environ = {"TRACKYARD_SERVING_TOKENS": "none", "TRACKYARD_BIND_ADDRESSES": order.format(address)}

    with pytest.raises(Misconfigured, match=r"SERVING_TOKENS is none, and .* set SERVING_TOKENS=all"):
        container.refuse_open_service(environ)


@pytest.mark.parametrize("name", ["database-job", "serving"])
def test_the_first_job_and_the_service_look_who_reaches_the_service(name: str) -> None:
    assert container.ROLES[name]().before is container.refuse_open_service


def test_airflow_has_the_patience_of_the_embedded_stack() -> None:
    from infra.servers.airflow_server import SCHEDULER, fixed_env

    for name, own in (("airflow-api-server", {}), ("airflow-scheduler", SCHEDULER), ("celery-worker", {})):
        assert (fixed_env() | own).items() <= dict(container.ROLES[name]().env).items()


def test_the_scheduler_answers_its_own_health_check() -> None:
    assert container.ROLES["airflow-scheduler"]().env["AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK"] == "True"


def test_an_unknown_role_is_told_what_there_is() -> None:
    command = [sys.executable, "-m", "infra.deploy.container", "airflow"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "airflow-scheduler" in done.stderr
    assert "Traceback" not in done.stderr
