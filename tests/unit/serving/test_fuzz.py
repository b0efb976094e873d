"""Whatever is sent, to whatever address, nothing gets a 5xx but what is not there yet."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.models.repository import ModelRepository
from serving.server import Server
from serving.settings import ServingSettings
from tests.fakes import ROW, Client, Registry, Service, service_of
from tests.unit.serving.api.test_predict import body

REQUESTS = 10_000
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
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


@pytest.fixture
def described(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> Server:
    registry = Registry(folder, tags)
    registry.aliases_now = {"champion": "7"}
    repository = ModelRepository(registry, "ad-click", settings.state_dir)
    repository.refresh()
    # The tool's client has no address.
    # Nor a host name that is served.
    return service_of(replace(settings, token_required_for="none", allowed_hosts=("*",)), repository)


def test_the_service_does_what_its_description_says(described: Server) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", described)
    asked: set[str] = set()

    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @hypothesis_settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def check(case: schemathesis.Case) -> None:
            # What the signature asks of a row is more than a schema can say, so a good body may still get a 422.
            case.call_and_validate(checks=CHECKS)

        check()
        asked.add(operation.path)

    # The tool leaves out the address that it read the description from.
    assert asked == set(Client(described).get("/openapi.json").json()["paths"]) - {"/openapi.json"}
