from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.deploy import probe
from infra.servers import postgres, redis_server
from infra.stack import ports
from infra.stack.info import StackInfo
from tests.fakes import QuietHandler, answering
from tests.support import ROOT


@contextmanager
def server(port: int, answers: dict[str, object]) -> Iterator[dict[str, str | None]]:
    given: dict[str, str | None] = {}

    class Answer(QuietHandler):
        def do_GET(self) -> None:
            given[self.path] = self.headers.get("Authorization")
            body = json.dumps(answers[self.path]).encode()
            self.send_response(200 if answers[self.path] is not None else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

    if not ports.is_free(port):
        pytest.skip(f"port {port}, which the check asks inside a container, is taken on this machine")
    with answering(Answer, port):
        yield given


@pytest.mark.parametrize(("answer", "code"), [({}, 0), (None, 1)])
def test_a_stale_heartbeat_of_the_scheduler_is_no_health(
    answer: object, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with server(8974, {"/health": answer}):
        assert probe.main("airflow-scheduler") == code
    assert capsys.readouterr().out.startswith("airflow-scheduler: ")


def test_the_service_is_asked_with_the_stacks_own_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKYARD_SERVING_TOKEN", "ours")
    with server(5555, {"/health": {}, "/status": {}}) as given:
        assert probe.main("serving") == 0
    assert given == {"/health": None, "/status": "Bearer ours"}


def test_what_goes_wrong_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main("mlflow") == 1
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_probe_imports_neither_airflow_nor_mlflow() -> None:
    look = (
        "import sys; from infra.deploy import probe; [probe.main(name) for name in probe.PROBES]; "
        "print([name for name in ('airflow', 'mlflow', 'pandas', 'sklearn') if name in sys.modules])"
    )
    environ = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://a:b@127.0.0.1:1/a",
        "AIRFLOW__CELERY__BROKER_URL": "redis://127.0.0.1:1/0",
    }
    command = [sys.executable, "-c", look]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize(
    ("name", "port", "answers", "code", "said"),
    [
        (
            "airflow-api-server",
            8080,
            {"metadatabase": {"status": "healthy"}},
            0,
            "reaches its database, and answers tasks",
        ),
        ("airflow-api-server", 8080, {"metadatabase": {"status": "sick"}}, 1, "it does not reach its database"),
        ("flower", 5556, {}, 0, "answers"),
    ],
)
def test_what_a_server_says_of_itself_is_told(
    name: str, port: int, answers: object, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = dict.fromkeys(("/api/v2/monitor/health", "/execution/health", "/healthcheck"), answers)
    with server(port, answered):
        assert probe.main(name) == code
    assert capsys.readouterr().out == f"{name}: {said}\n"


def test_mlflow_is_asked_for_a_search_as_its_administrator(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", "s3cret")
    search = "/api/2.0/mlflow/experiments/search"
    with server(5000, {search: {"experiments": []}}) as given:
        assert probe.main("mlflow") == 0
    assert given == {search: "Basic " + base64.b64encode(b"admin:s3cret").decode()}
    assert capsys.readouterr().out == "mlflow: a search works\n"


@pytest.fixture
def outside(stores: StackInfo, monkeypatch: pytest.MonkeyPatch) -> StackInfo:
    """Stores that a container reaches by its variables."""
    plan = stores.plan
    database = postgres.url(plan.ports["postgres"], "airflow", plan.credentials, "postgresql+psycopg2")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", database)
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", redis_server.url(plan.ports["redis"], plan.credentials))
    monkeypatch.setenv("S3_ENDPOINT", plan.url("s3"))
    for account, bucket in (("MLFLOW", "mlflow"), ("WORKER", "trackyard")):
        monkeypatch.setenv(f"S3_{account}_KEY", plan.credentials.s3_access_key)
        monkeypatch.setenv(f"S3_{account}_SECRET", plan.credentials.s3_secret_key)
        monkeypatch.setenv(f"S3_{account}_BUCKET", bucket)
    return stores


@pytest.mark.parametrize(
    ("name", "variable", "wrong"),
    [
        ("external-postgres", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://a:b@127.0.0.1:1/a"),
        ("external-redis", "AIRFLOW__CELERY__BROKER_URL", "redis://127.0.0.1:1/0"),
        ("external-s3", "S3_WORKER_SECRET", "of another"),
    ],
)
def test_a_server_outside_is_asked_with_the_containers_own_account(
    outside: StackInfo, name: str, variable: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probe.main(name) == 0

    monkeypatch.setenv(variable, wrong)
    assert probe.main(name) == 1


@pytest.mark.parametrize(
    ("age", "state", "code", "said"),
    [
        (3, "running", 0, "airflow-triggerer: heartbeat 3 s ago"),
        (46, "running", 1, "airflow-triggerer: it has no fresh heartbeat"),
        (3, "success", 1, "airflow-triggerer: it has no fresh heartbeat"),
    ],
)
def test_only_a_fresh_heartbeat_of_this_container_is_a_sign_of_life(
    outside: StackInfo, age: int, state: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with probe._database() as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("CREATE TABLE job (job_type text, hostname text, state text, latest_heartbeat timestamptz)")
        try:
            row = "INSERT INTO job VALUES ('TriggererJob', %s, %s, now() - %s * interval '1 second')"
            cursor.execute(row, (socket.getfqdn(), state, age))
            cursor.execute(row, ("elsewhere", "running", 0))

            assert probe.main("airflow-triggerer") == code
        finally:
            cursor.execute("DROP TABLE job")
    assert capsys.readouterr().out.strip() == said


def test_a_worker_that_does_not_answer_is_named(
    outside: StackInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.1)

    assert probe.main("celery-worker") == 1
    assert capsys.readouterr().out == f"celery-worker: celery@{socket.gethostname()} does not answer\n"
