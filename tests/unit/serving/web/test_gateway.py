"""Whatever is sent, to whatever address, nothing gets a 5xx but what is not there yet; and who is let in."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving.server import request_of
from serving.settings import ServingSettings
from serving.web.messages import RequestRefused
from tests.fakes import ROW, Client, Service, body, scope_of

REQUESTS = 10_000


PATHS = (
    "/predict", "/predict", "/predict", "/models/ad-click/predict", "/models/nothing/predict", "/models/ad-click",
    "/status", "/dashboard", "/success", "/failure", "/", "/ready", "/health", "/docs", "/metrics", "/openapi.json",
    "/webhooks/mlflow", "/refresh", "/static/style.css", "/static/../settings.py", "/models/%2e%2e", "/models//predict",
    "/%00", "/ä/ü", "/dashboard/", "//", "/models/" + "x" * 500,
)  # fmt: skip


METHODS = ("GET", "GET", "POST", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW")


KINDS = (
    "application/json", "application/json", "text/csv", "application/vnd.apache.parquet", "", "text/html",
    "application/json; charset=utf-16", "x" * 300, "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
)  # fmt: skip


PIECES = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"NaN", b"1e999", b"-", b"true", b"\x00", b"\xff\xfe",
    b"\\ud800", b"PAR1",
    b'{"rows":', b'{"columns":', b'{"dataframe_split":', b'"data"', b'"threshold":', b'"explain":true',
    b"Age,Male\n1,2\n", b"1" * 400, b'"' * 3, b"\r\n", "ä€😀".encode(), b"%s%n", b"<script>", b"' OR 1=1--",
)  # fmt: skip


HEADERS: tuple[dict[str, str], ...] = (
    {}, {}, {"Accept": "application/json"}, {"Accept": "*/*;q=x"}, {"Authorization": "Bearer ty_a_b"},
    {"Authorization": "Basic x"}, {"X-Request-Id": "a b\tc"}, {"Content-Encoding": "gzip"},
    {"Cookie": "x=" + "y" * 999},
    {"Host": "evil.example"}, {"X-MLflow-Signature": "v1,x", "X-MLflow-Timestamp": "9" * 40}, {"Range": "bytes=0-1"},
    {"If-None-Match": "*"}, {"Transfer-Encoding": "chunked"}, {"Expect": "x"}, {"X-Forwarded-For": "8.8.8.8"},
)  # fmt: skip


QUERIES = (
    "",
    "",
    "?threshold=x",
    "?threshold=0.2&explain=1",
    "?run=<b>&page=9",
    "?page=-1",
    "?page=99999",
    "?%ff=%00",
    "?" + "a=1&" * 99,
)


@pytest.fixture
def service(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> Service:
    found = Service(replace(settings, webhook_secret="a-secret-word"), folder, tags)
    found.airflow.add("run_1", "failed")
    found.airflow.add("run_2", "running")
    found.registry.aliases_now = {"champion": "7"}
    found.refresh()
    return found


def _body(random_: random.Random) -> bytes:
    act = random_.random()
    if act < 0.2:
        return b""
    if act < 0.5:
        return b"".join(random_.choices(PIECES, k=random_.randint(1, 12)))
    if act < 0.6:
        return random_.randbytes(random_.randint(1, 300))
    found = bytearray(body(ROW, ROW) if act < 0.9 else json.dumps({"columns": {name: [1] for name in ROW}}).encode())
    for _ in range(random_.randint(0, 4)):
        at = random_.randrange(len(found))
        found[at : at + random_.randint(0, 3)] = random_.choice([b"", random_.choice(PIECES), random_.randbytes(2)])
    return bytes(found)


def _ask(client: Client, random_: random.Random) -> Any:
    path = random_.choice(PATHS)
    if random_.random() < 0.1:
        path += random_.choice(["/x", ";", "%00", "\\", "?"])
    return client.request(
        random_.choice(METHODS), path + random_.choice(QUERIES), content=_body(random_),
        kind=random_.choice(KINDS), headers=random_.choice(HEADERS),
    )  # fmt: skip


def test_ten_thousand_spoilt_requests_get_no_5xx(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    random_ = random.Random(20_261)
    seen: dict[int, int] = {}
    for _ in range(REQUESTS):
        answer = _ask(service.client, random_)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, answer.text[:300]
        assert "Traceback" not in answer.text

    assert {200, 400, 404, 405, 415, 422} <= set(seen)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/status", 405)])
def test_other_errors_are_json_too(service: Service, method: str, path: str, status: int) -> None:
    answer = service.client.request(method, path)

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "problems"}


def test_who_may_not_read_is_not_told_what_there_is(service: Service) -> None:
    stranger = Client(service.app, "203.0.113.9")

    assert {stranger.get(path).status_code for path in ("/status", "/nothing", "/dashboard")} == {401}


def test_each_request_has_an_id_and_one_line_in_the_log(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.post("/predict?note=secret", json={"rows": [ROW]}, headers={"X-Request-Id": "mine-1"})
    other = client.get("/status", headers={"X-Request-Id": b"not mine\xe4"})

    assert answer.headers["X-Request-Id"] == "mine-1"
    assert len(other.headers["X-Request-Id"]) == 16


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [("a" * 64, True), ("a" * 65, False), ("A-1._", True), ("", False), ("a b", False), ("a/b", False)],
)
def test_a_request_keeps_an_id_that_can_stand_in_the_log(service: Service, given: str, is_kept: bool) -> None:
    found = service.client.get("/health", headers={"X-Request-Id": given}).headers["X-Request-Id"]

    assert (found == given) is is_kept
    assert is_kept or len(found) == 16


def test_the_route_of_who_is_let_in_is_noted(service: Service) -> None:
    request = request_of(scope_of(path="/models/a b/predict"))

    route = service.app._gateway.admit(request)

    assert (route.path, request.route, request.name) == ("/models/<name>/predict", "/models/<name>/predict", "a b")
    assert request.token_id is None


def test_what_nobody_foresaw_is_counted_and_told_of_only_in_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = service.app._gateway

    answer = gateway.failed(request_of(scope_of()), KeyError("61833.9"))

    told = {"code": "internal", "message": "something unexpected went wrong: see the service's log", "problems": []}
    assert (answer.status, json.loads(answer.body)) == (500, {"error": told})
    assert b'trackyard_errors_total{kind="KeyError"} 1.0' in gateway.access_log.metrics()
    assert "path=/predict" in caplog.text
    assert "KeyError" in caplog.text


def test_a_refusal_is_no_error_of_the_service(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    gateway = service.app._gateway

    answer = gateway.failed(request_of(scope_of()), RequestRefused(409, "again", "it came before"))

    assert (answer.status, json.loads(answer.body)["error"]["code"], answer.facts) == (409, "again", {"error": "again"})
    assert b"trackyard_errors_total{" not in gateway.access_log.metrics()
    assert caplog.text == ""
