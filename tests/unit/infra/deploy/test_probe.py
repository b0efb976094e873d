from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.deploy import probe
from tests.support import ROOT


@contextmanager
def server(port: int, answers: dict[str, object]) -> Iterator[dict[str, str | None]]:
    given: dict[str, str | None] = {}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given[self.path] = self.headers.get("Authorization")
            body = json.dumps(answers[self.path]).encode()
            self.send_response(200 if answers[self.path] is not None else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    try:
        web = ThreadingHTTPServer(("127.0.0.1", port), Answer)
    except OSError:
        pytest.skip(f"port {port}, which the check asks inside a container, is taken on this machine")
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        yield given
    finally:
        web.shutdown()
        web.server_close()


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
