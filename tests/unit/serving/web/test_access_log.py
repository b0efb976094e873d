"""One line of JSON for every answer, with nothing of its data."""

from __future__ import annotations

import io
import json
import re

import pytest

from serving.settings import ServingSettings
from serving.web.access_log import AccessLog
from serving.web.messages import Answer, Request
from serving.web.metrics import Telemetry
from tests.fakes import ROW, Client, Service, service_of


def test_the_log_line_is_json_and_tells_no_data(
    settings: ServingSettings, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = Client(service_of(settings))
    answer = fresh.post("/predict?note=secret", json={"rows": [ROW]})
    # What was counted is told only after the lines are written.
    fresh.get("/metrics")

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("{")]

    found = json.loads(lines[-1])
    assert found["id"] == answer.headers["X-Request-Id"]
    assert (found["path"], found["status"], found["method"]) == ("/predict", 503, "POST")
    assert "secret" not in lines[-1]
    assert "61833" not in lines[-1]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def access_log(service: Service, stream: io.StringIO) -> AccessLog:
    return AccessLog(Telemetry(service.monitor, service.repository), stream)


def request(request_id: str = "a", path: str = "/x", **options: str) -> Request:
    return Request("GET", path, "note=secret", {}, "203.0.113.9", request_id=request_id, **options)  # type: ignore[arg-type]


def test_a_line_tells_who_asked_what_and_how_it_ended(access_log: AccessLog, stream: io.StringIO) -> None:
    asked = request(path="/" + "p" * 300, token_id="t1")
    asked.method = "M" * 30

    access_log.add(asked, Answer(404, facts={"error": "not_found"}), 0.0123456)
    access_log.flush()

    found = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", found.pop("time"))
    assert found == {
        "id": "a", "method": "M" * 20, "path": "/" + "p" * 199, "status": 404, "ms": 12.346, "client": "203.0.113.9",
        "token": "t1", "error": "not_found",
    }  # fmt: skip


def test_each_answer_is_written_and_counted_once_in_its_order(access_log: AccessLog, stream: io.StringIO) -> None:
    for request_id in "abc":
        access_log.add(request(request_id), Answer(200), 0.001)
    access_log.flush()
    access_log.flush()

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["id"] for line in lines] == ["a", "b", "c"]
    assert "token" not in lines[0]
    assert b'trackyard_requests_total{route="none",status="200"} 3.0' in access_log.metrics()


def test_what_nobody_reads_is_counted_all_the_same(access_log: AccessLog, stream: io.StringIO) -> None:
    stream.close()
    access_log.add(request(), Answer(200), 0.001)

    assert b'trackyard_requests_total{route="none",status="200"} 1.0' in access_log.metrics()
