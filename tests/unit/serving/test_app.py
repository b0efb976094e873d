"""The service as it runs, `python -m serving` on a port of this machine, with its servers away."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ml.registry.loading import LoadedModel
from serving.api.bulk import Job
from serving.models import prepared
from serving.models.cache import LiveModel, ModelCopy
from serving.models.predictor import Predictor
from tests.fakes import ROW
from tests.support import ROOT, clean_environ, free_ports, wait_for
from tests.unit.serving.api.test_bulk import JOBS

ASK = """
import os
from serving.app import app_from_env
from tests.fakes import Client
client = Client(app_from_env(os.environ))
assert client.get("/health").text == "ok"
assert client.get("/ready").status_code == 503
found = client.get("/status")
assert found.status_code == 200
assert not found.json()["upstream"]["airflow"]["ok"]
print(sorted(thread.name for thread in __import__("threading").enumerate()))
"""


def given(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "TRACKYARD_AIRFLOW_URL": "http://127.0.0.1:9",
        "TRACKYARD_AIRFLOW_USERNAME": "status",
        "TRACKYARD_AIRFLOW_PASSWORD": "a-secret-word",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "TRACKYARD_SERVING_STATE": str(tmp_path / "state"),
    }


def ask(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[3]
    return subprocess.run(
        [sys.executable, "-c", ASK], cwd=root, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_application_answers_with_every_server_away(tmp_path: Path) -> None:
    done = ask(given(tmp_path))

    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("mlflow", "airflow"):
        assert name in done.stdout
    assert "a-secret-word" not in done.stdout + done.stderr


def test_a_missing_setting_is_named_before_anything_starts(tmp_path: Path) -> None:
    done = ask({**given(tmp_path), "TRACKYARD_AIRFLOW_PASSWORD": ""})

    assert done.returncode != 0
    assert "TRACKYARD_AIRFLOW_PASSWORD" in done.stderr


BODY = json.dumps({"rows": [ROW]}).encode()


@dataclass
class Service:
    """A running service."""

    port: int
    pid: int
    log: Path
    client: httpx.Client

    def post(self, body: bytes = BODY, kind: str = "application/json", **headers: str) -> httpx.Response:
        return self.client.post("/predict", content=body, headers={"Content-Type": kind, **headers})

    def counted(self, what: str) -> float:
        """The sum of a counter's series whose beginning is `what`."""
        found = re.findall(rf"^{re.escape(what)}[^ ]* (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        return sum(map(float, found))

    def lines(self, status: int) -> list[dict[str, object]]:
        """The log's lines of answers with a status."""
        told = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [one for one in told if one["status"] == status]


@contextmanager
def running(state: Path, home: Path, *arguments: str, **variables: str) -> Iterator[Service]:
    (port,) = free_ports(1)
    nowhere = "http://127.0.0.1:9"
    env = clean_environ(home) | {
        "TRACKYARD_AIRFLOW_URL": nowhere, "TRACKYARD_AIRFLOW_USERNAME": "status", "TRACKYARD_AIRFLOW_PASSWORD": "x",
        "MLFLOW_TRACKING_URI": nowhere, "TRACKYARD_SERVING_STATE": str(state), "TRACKYARD_MODEL_NAME": "ad-click",
        **variables,
    }  # fmt: skip
    log = home / "serving.log"
    command = [sys.executable, "-m", "serving", "--port", str(port), *arguments]
    with log.open("wb") as handle:
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=handle, stderr=handle)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            found = Service(port, process.pid, log, client)

            def is_ready() -> bool:
                try:
                    return client.get("/ready").status_code == 200
                except httpx.TransportError:
                    return False

            wait_for(is_ready, f"the service: {log}", 60)
            yield found
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory, folder: Path, model: LoadedModel) -> Path:
    """What a service that was stopped left behind."""
    found = tmp_path_factory.mktemp("live") / "state"
    copy = ModelCopy(found, "ad-click")
    with copy.new_folder() as new:
        shutil.copytree(folder, new, dirs_exist_ok=True)
        prepared.write(new, model)
        copy.keep(new, model)
    copy.mark(LiveModel.now(Predictor.of(model), {}))
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, state: Path) -> Iterator[Service]:
    with running(state, tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.mark.parametrize("is_whole_close", [True, False])
def test_a_body_that_stops_before_its_end_is_not_scored(service: Service, is_whole_close: bool) -> None:
    rows, before = service.counted("trackyard_rows_predicted_total"), len(service.lines(499))
    body = b"Daily Time Spent on Site,Age,Area Income,Daily Internet Usage,Male\n68.9,35,61833.9,256.1,0\n"
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: {len(body) + 9}"
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        if not is_whole_close:
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""

    wait_for(lambda: len(service.lines(499)) == before + 1, "the log's line", 20)
    assert service.lines(499)[-1]["error"] == "client_gone"
    assert service.counted("trackyard_rows_predicted_total") == rows
    assert service.counted('trackyard_requests_total{route="/predict",status="499"}') == before + 1


def test_an_offer_of_another_protocol_is_answered_as_without_it(service: Service) -> None:
    plain = service.post()
    offers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    offering = service.post(**offers)

    assert (offering.status_code, offering.content) == (200, plain.content)


@pytest.mark.parametrize("job", JOBS.values(), ids=list(JOBS))
def test_large_requests_are_answered_beside_the_service(service: Service, job: Job) -> None:
    arguments = "&".join(f"{name}={value}" for name, value in job.arguments.items())
    answer = service.client.post(f"/predict?{arguments}", content=job.body, headers={"Content-Type": job.kind})

    assert answer.status_code == 200, answer.text
    assert len(answer.json()["probabilities"]) == 500
    assert answer.headers["X-Model-Version"] == "7"
    # Their libraries are not even there.
    assert "libarrow" not in Path(f"/proc/{service.pid}/maps").read_text()


def test_ready_tells_strangers_no_more_than_that(service: Service) -> None:
    assert service.client.get("/ready").json()["model"]["name"] == "ad-click"
    stranger = service.client.get("/ready", headers={"Host": "any.example"})

    assert (stranger.status_code, stranger.json()) == (200, {"ready": True})


def test_workers_tell_what_all_have_counted_and_close_what_tokens_cannot_open(state: Path, tmp_path: Path) -> None:
    (damaged := tmp_path / "state").mkdir()
    shutil.copytree(state, damaged, dirs_exist_ok=True)
    (damaged / "tokens.json").write_text("{")
    with running(damaged, tmp_path, "--workers", "2", TRACKYARD_SERVING_TOKEN="own", TMPDIR=str(tmp_path)) as service:
        for _ in range(30):
            with httpx.Client(base_url=service.client.base_url) as another:
                assert another.post("/predict", content=BODY, headers={"Content-Type": "application/json"}).is_success
        assert service.post(Authorization="Bearer ty_1_x").status_code == 503
        assert service.client.get("/status", headers={"Authorization": "Bearer own"}).status_code == 200

        # A worker counts a moment after its answer.
        wait_for(lambda: service.counted("trackyard_rows_predicted_total") == 30, "both workers' counts", 20)
        assert service.counted('trackyard_requests_total{route="/predict",status="200"}') == 30
        assert service.counted('trackyard_request_seconds_count{route="/predict"}') == 30
        assert "Misconfigured" not in service.log.read_text()
        assert list(tmp_path.glob("trackyard-metrics-*"))
    assert not list(tmp_path.glob("trackyard-metrics-*"))
