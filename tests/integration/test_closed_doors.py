"""Nothing of the stack is open to whoever has no secret, and no secret lies about."""

from __future__ import annotations

import json
import re
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import boto3
import httpx
import psutil
import psycopg2
import pytest
import redis
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.servers import airflow_server, postgres, tracking_server
from infra.settings import INTERNAL_PORTS
from infra.stack.processes import processes_of
from ml.errors import Misconfigured
from serving.upstream.airflow import AirflowClient
from tests.integration.conftest import Trained
from tests.support import PIPELINE, RunningStack, wait_for


def asked_of_each(running: RunningStack, ask: Callable[[psutil.Process], Any]) -> list[Any]:
    """What each process of the stack answers; one that ends meanwhile, as those of a task do, answers nothing."""
    found = []
    for process in processes_of(running.home):
        with suppress(psutil.NoSuchProcess):
            found.append(ask(process))
    return found


def test_every_port_listens_on_the_loopback_address_alone(running: RunningStack) -> None:
    connections = asked_of_each(running, lambda process: process.net_connections("tcp"))
    listening = [each.laddr for found in connections for each in found if each.status == psutil.CONN_LISTEN]

    assert len(listening) >= 8
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("role", ["airflow", "mlflow", "celery"])
def test_a_database_role_reaches_its_own_databases_only(running: RunningStack, role: str) -> None:
    secret = running.info.plan.credentials
    port = running.info.plan.ports["postgres"]

    for database, owner in postgres.DATABASES.items():
        arguments = {
            "host": "127.0.0.1", "port": port, "user": role, "dbname": database,
            "password": getattr(secret, f"postgres_{role}_password"),
        }  # fmt: skip
        if owner == role:
            psycopg2.connect(**arguments).close()
        else:
            with pytest.raises(psycopg2.OperationalError, match="permission denied"):
                psycopg2.connect(**arguments)


def test_a_database_wants_its_password_by_scram(running: RunningStack) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host="127.0.0.1", port=running.info.plan.ports["postgres"], user="airflow", dbname="airflow")
    rules = (running.home / "postgres" / "pg_hba.conf").read_text()
    methods = {line.split()[-1] for line in rules.splitlines() if line.strip() and not line.startswith("#")}
    assert methods == {"scram-sha-256"}


def test_redis_wants_its_password(running: RunningStack) -> None:
    with redis.Redis(port=running.info.plan.ports["redis"]) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_s3_wants_its_keys(running: RunningStack) -> None:
    client = boto3.client(
        "s3", endpoint_url=running.info.urls["s3"], region_name="us-east-1", config=Config(signature_version=UNSIGNED)
    )

    for look in (
        lambda: client.list_objects_v2(Bucket="trackyard"),
        lambda: client.put_object(Bucket="mlflow", Key="x"),
    ):
        with pytest.raises(ClientError, match="Access"):
            look()


@pytest.mark.parametrize("name", INTERNAL_PORTS)
def test_the_object_stores_other_ports_give_nothing_away(running: RunningStack, name: str) -> None:
    url = f"http://127.0.0.1:{running.info.plan.ports[name]}"

    for path in ("/buckets/trackyard/", "/dir/assign", "/dir/lookup?volumeId=1", "/1,01"):
        try:
            answer = httpx.get(url + path, timeout=5)
        except httpx.HTTPError:
            continue
        assert answer.status_code in (401, 403, 404), path


def test_the_service_account_of_airflow_can_only_read(running: RunningStack, real_run: Trained) -> None:
    secret = running.info.plan.credentials
    client = AirflowClient(
        running.info.urls["airflow"], airflow_server.STATUS, secret.airflow_status_password, timeout_s=20
    )

    assert client.dag_runs(PIPELINE)
    assert client.task_instances(PIPELINE, real_run.run_id)
    with pytest.raises(Misconfigured, match="refuses"):
        client.trigger(PIPELINE, {}, "never")


def test_the_service_account_of_mlflow_can_only_read(running: RunningStack, real_run: Trained) -> None:
    account = (tracking_server.STATUS, running.info.plan.credentials.mlflow_status_password)
    api = running.info.urls["mlflow"] + "/api/2.0/mlflow"

    found = httpx.get(f"{api}/registered-models/get", params={"name": "ad-click"}, auth=account, timeout=20)
    runs = httpx.post(f"{api}/experiments/search", json={"max_results": 1}, auth=account, timeout=20)
    changed = httpx.post(
        f"{api}/registered-models/alias", auth=account, timeout=20,
        json={"name": "ad-click", "alias": "champion", "version": "1"},
    )  # fmt: skip
    made = [
        httpx.post(f"{api}/{kind}/create", json={"name": "of-a-reader"}, auth=account, timeout=20).status_code
        for kind in ("experiments", "registered-models")
    ]
    sent = httpx.put(
        f"{running.info.urls['mlflow']}/api/2.0/mlflow-artifacts/artifacts/0/x", content=b"x", auth=account, timeout=20
    )

    assert found.status_code == runs.status_code == 200
    assert changed.status_code == 403
    assert made == [403, 403]
    assert sent.status_code == 403


@pytest.mark.parametrize("part", ["mlflow", "flower"])
def test_pages_for_people_want_a_login(running: RunningStack, part: str) -> None:
    url = running.info.urls[part]

    assert httpx.get(url, timeout=20).status_code == 401


def test_airflow_wants_a_login(running: RunningStack) -> None:
    assert httpx.get(f"{running.info.urls['airflow']}/api/v2/dags", timeout=20).status_code == 401


def test_flower_shows_the_workers_tasks_and_no_token(running: RunningStack, real_run: Trained) -> None:
    login = running.info.logins()["flower"]
    account = (login["username"], login["password"])

    def tasks() -> dict[str, object]:
        found: dict[str, object] = httpx.get(f"{login['url']}/api/tasks", auth=account, timeout=20).json()
        return found

    shown = wait_for(tasks, "Flower to know a task")
    one = next(iter(shown))
    page = httpx.get(f"{login['url']}/task/{one}", auth=account, timeout=20).text
    stopping = httpx.post(f"{login['url']}/api/worker/shutdown/x", auth=account, timeout=20)

    assert "eyJ" not in json.dumps(shown)
    assert "eyJ" not in page
    assert stopping.status_code in (401, 403, 404, 405)


def test_secrets_are_in_one_private_file_and_in_no_log(running: RunningStack, real_run: Trained) -> None:
    secrets = list(asdict(running.info.plan.credentials).values())
    logs = [path for path in running.settings.log_dir.iterdir() if path.is_file()]
    logs += [path for path in (running.home / "airflow" / "task-logs").rglob("*.log")]

    leaks = {
        path.name
        for path in logs
        for secret in secrets
        if secret in path.read_text(errors="replace") and secret != running.info.plan.credentials.s3_access_key
    }

    assert stat.S_IMODE(running.settings.secrets_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(running.home.stat().st_mode) == 0o700
    assert leaks == set()


def test_no_secret_stands_in_a_command_line(running: RunningStack) -> None:
    secrets = list(asdict(running.info.plan.credentials).values())
    lines = asked_of_each(running, lambda process: " ".join(process.cmdline()))

    assert not [line for line in lines for secret in secrets if secret in line]


def test_only_credentials_shows_a_secret(running: RunningStack) -> None:
    shown = running.cli_json("credentials")
    passwords = [login["password"] for login in shown.values()]

    assert set(shown) == {"airflow", "mlflow", "flower", "s3"}
    assert all(set(login) == {"url", "username", "password"} for login in shown.values())
    for command in ("status", "doctor"):
        printed = running.cli(command)
        assert not [password for password in passwords if password in printed.stdout + printed.stderr]


def test_the_worker_has_neither_the_database_nor_the_signing_key(running: RunningStack) -> None:
    env = psutil.Process(running.pid("celery-worker")).environ()

    secret = running.info.plan.credentials
    values = " ".join(env.values())
    assert secret.postgres_airflow_password not in values
    assert secret.airflow_jwt_secret not in values


def test_the_smtp_server_speaks(running: RunningStack) -> None:
    with socket.create_connection(("127.0.0.1", running.info.plan.ports["smtp"]), timeout=5) as connection:
        assert re.match(rb"220 ", connection.recv(200))
