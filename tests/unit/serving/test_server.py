"""The service as an ASGI server asks it: bodies under their limits, headers, and what is answered at once."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from serving.api.parsing import CSV, JSON
from serving.models.repository import ModelRepository
from serving.server import Server, _encoded, request_of
from serving.web.messages import Answer, Request, TakesLonger
from serving.web.routing import Route, Router
from tests.fakes import HEADER, LINE, ROW, Client, Service, body, scope_of, wait_for_answer

BODY = json.dumps({"rows": [ROW]}).encode()


@dataclass
class Exchange:
    """A request's body as it arrives, and what came back."""

    pieces: list[bytes]
    pause_s: float = 0.0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(self.pause_s)
        piece = self.pieces.pop(0) if self.pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]


def ask(server: Server, scope: dict[str, Any], exchange: Exchange) -> Exchange:
    wait_for_answer(server(scope, exchange.receive, exchange.send))  # type: ignore[arg-type]
    return exchange


@pytest.fixture
def threads(server: Server) -> list[str]:
    """The threads that the routes' answers were found in, by the names before their numbers."""
    found: list[str] = []

    def noting(answer: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
        def noted(request: Request) -> Answer:
            thread = threading.current_thread().name.split("_")[0]
            try:
                return answer(request)
            except TakesLonger:
                thread = ""
                raise
            finally:
                found.extend([thread] if thread else [])

        return noted

    change_routes(server, lambda route: replace(route, answer=route.answer and noting(route.answer)))
    return found


def change_routes(server: Server, change: Callable[[Route], Route]) -> None:
    server._gateway._router = Router(map(change, server._gateway._router.routes))


@pytest.mark.parametrize("length", [{"content_length": str(len(BODY))}, {}])
def test_a_row_is_predicted_with_and_without_a_length(server: Server, length: dict[str, str]) -> None:
    found = ask(server, scope_of(**length), Exchange([BODY[:10], BODY[10:]]))

    assert found.status == 200, found.body
    assert found.headers["x-model-version"] == "7"
    assert json.loads(found.body)["model"]["version"] == "7"
    assert found.headers["content-length"] == str(len(found.body))


@pytest.mark.parametrize("length", [{"content_length": "300000"}, {}])
def test_a_body_over_the_limit_is_read_to_its_end_and_refused(server: Server, length: dict[str, str]) -> None:
    exchange = Exchange([b"x" * 100_000] * 3)
    found = ask(server, scope_of(**length), exchange)

    assert found.status == 413
    assert json.loads(found.body)["error"]["problems"][0]["rule"] == "at most 200000 bytes"
    assert exchange.pieces == []


def test_a_body_that_takes_too_long_is_cut_off(server: Server) -> None:
    found = ask(server, scope_of(), Exchange([BODY, b" "], pause_s=0.25))

    assert found.status == 408
    assert found.headers["connection"] == "close"


def test_nothing_is_kept_of_a_body_that_nobody_may_send(server: Server) -> None:
    found = ask(server, scope_of(client="203.0.113.9"), Exchange([BODY]))

    assert found.status == 401
    assert found.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/docs", 200), ("HEAD", "/status", 200), ("GET", "/x", 404)]
)
def test_pages_are_answered_too(server: Server, method: str, path: str, status: int) -> None:
    found = ask(server, scope_of(method, path), Exchange([]))

    assert found.status == status
    assert found.headers["x-content-type-options"] == "nosniff"
    assert (found.body == b"") is (method == "HEAD")


def _same(one: Exchange, other: Exchange) -> bool:
    left_out = ("x-request-id", "date")
    heads = [{name: each for name, each in found.headers.items() if name not in left_out} for found in (one, other)]
    return (heads[0], one.status, json.loads(one.body)) == (heads[1], other.status, json.loads(other.body))


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        json.dumps({"rows": [ROW, ROW]}).encode(),
        json.dumps({"rows": [{**ROW, "Age": None}]}).encode(),
        json.dumps({"rows": [{**ROW, "Age": "x"}]}).encode(),
        json.dumps({"rows": [{**ROW, "City": "x"}]}).encode(),
        json.dumps({"rows": [{**ROW, "Age": 10**400}]}).encode(),
        json.dumps({"rows": [{**ROW, "Age": True}]}).encode(),
        json.dumps({"rows": [ROW], "threshold": 0.001}).encode(),
        json.dumps({"rows": [ROW], "explain": True}).encode(),
        b'{"rows": [[1]]}', b'{"rows": 5}', b'{"rows": {}}', b"[1]", b"5", b'{"rows": [{}]}', b"{", b"\xff",
    ],
)  # fmt: skip
def test_what_is_answered_at_once_is_what_is_answered_otherwise(server: Server, body: bytes) -> None:
    at_once = ask(server, scope_of(content_length=str(len(body))), Exchange([body]))
    change_routes(server, lambda route: replace(route, is_quick=False))

    assert _same(at_once, ask(server, scope_of(content_length=str(len(body))), Exchange([body])))


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (scope_of(client="203.0.113.9"), 401),
        (scope_of(host="evil.example"), 400),
        (scope_of(content_encoding="gzip"), 415),
        (scope_of(path="/models/nothing/predict"), 404),
        (scope_of("PUT"), 405),
    ],
    ids=["no token", "host", "compressed", "no such model", "method"],
)
def test_what_may_not_be_asked_is_refused(server: Server, scope: dict[str, Any], status: int) -> None:
    assert ask(server, scope, Exchange([BODY])).status == status


@pytest.mark.parametrize(
    "scope",
    [
        scope_of(),
        scope_of(query=b"threshold=0.001"),
        scope_of(path="/models/ad-click/predict"),
        scope_of("GET", "/health"),
    ],
    ids=["a row", "its threshold", "by name", "health"],
)
def test_what_takes_no_time_is_answered_where_everybody_waits(
    server: Server, threads: list[str], scope: dict[str, Any]
) -> None:
    assert ask(server, scope, Exchange([BODY])).status == 200
    assert threads == ["asgi"]


def test_a_model_that_takes_its_time_is_let_in_once(
    server: Server, repository: ModelRepository, threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert repository.main.live
    live = repository.main.live
    monkeypatch.setattr(repository.main, "live", replace(live, predictor=replace(live.predictor, form=None)))
    asked: list[Any] = []
    monkeypatch.setattr(server._gateway._guard, "admit", lambda *given: asked.append(given))

    assert ask(server, scope_of(), Exchange([BODY])).status == 200
    assert threads == ["answer"]
    assert len(asked) == 1


FAR_OUT: dict[str, Any] = {}
"""Stands for a row that depends on the model."""


def far_out(repository: ModelRepository) -> dict[str, Any]:
    """A row of which two numbers are far out and cancel each other, so that their rounding is what is left."""
    assert repository.main.live
    form = repository.main.live.predictor.form
    assert form
    first, second = form.names[:2]
    return {**ROW, first: 1e12, second: -1e12 * form.weights[0] / form.weights[1]}


@pytest.mark.parametrize(
    ("kind", "body", "thread"),
    [
        ("application/json", [FAR_OUT], "answer"),
        ("application/json", [ROW, FAR_OUT], "answer"),
        ("application/json", json.dumps({"rows": [{}] * 1000}).encode(), "large"),
        ("application/json", BODY + b" " * 16_384, "large"),
        ("text/csv", b"Age\n1\n", "large"),
        ("application/vnd.apache.parquet", b"PAR1", "large"),
    ],
    ids=["far out", "one far out", "many cells", "large", "CSV", "Parquet"],
)
def test_what_may_take_its_time_is_answered_in_a_thread(
    server: Server, repository: ModelRepository, threads: list[str], kind: str, body: Any, thread: str
) -> None:
    if isinstance(body, list):
        body = json.dumps({"rows": [far_out(repository) if row is FAR_OUT else row for row in body]}).encode()

    ask(server, scope_of(content_type=kind), Exchange([body]))

    assert threads == [thread]


def test_the_state_is_told_at_once_where_it_is_at_hand(server: Server, threads: list[str]) -> None:
    for _ in range(2):
        assert ask(server, scope_of("GET", "/status"), Exchange([])).status == 200

    assert threads == ["answer", "asgi"]


def test_more_than_can_wait_is_told_to_come_back(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def slow(answer: Callable[[Any], Answer]) -> Callable[[Any], Answer]:
        def slowly(request: Any) -> Answer:
            if request.at_once:
                return answer(request)
            waiting.set()
            go_on.wait(20)
            return Answer(200)

        return slowly

    change_routes(server, lambda route: replace(route, answer=route.answer and slow(route.answer)))
    monkeypatch.setattr(server._large, "_most", 1)
    scope = scope_of(content_type="text/csv")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, server, scope, Exchange([BODY]))
        assert waiting.wait(20)
        second = ask(server, scope_of(content_type="text/csv"), Exchange([BODY]))
        go_on.set()

        assert first.result().status == 200
    assert (second.status, second.headers["retry-after"]) == (503, "1")
    assert json.loads(second.body)["error"]["code"] == "busy"
    assert ask(server, scope_of(content_type="text/csv"), Exchange([BODY])).status == 200


def test_more_bodies_than_can_be_held_are_told_to_come_back(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.server._MOST_HELD", 30_000)
    exchange = Exchange([b" " * 20_000] * 4)

    found = ask(server, scope_of(), exchange)

    assert (found.status, exchange.pieces) == (503, [])
    assert server._held == 0
    assert ask(server, scope_of(), Exchange([BODY])).status == 200


def test_a_body_whose_sender_is_gone_is_not_scored(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._gateway.access_log, "_stream", log := io.StringIO())

    class Gone(Exchange):
        async def receive(self) -> dict[str, Any]:
            return await super().receive() if len(self.pieces) > 1 else {"type": "http.disconnect"}

    found = ask(server, scope_of(), Gone([BODY, b""]))
    server._gateway.access_log.flush()

    assert found.status == 0
    assert [json.loads(line)["status"] for line in log.getvalue().splitlines()] == [499]
    assert b"trackyard_rows_predicted_total{" not in server._gateway._telemetry.render()
    assert server._held == 0


def test_a_header_ends_where_it_ends() -> None:
    answer = Answer(200, headers=(("X-Model-Name", "a\r\nSet-Cookie: b"),))

    assert dict(_encoded(answer.kind, answer.headers))[b"x-model-name"] == b"a  Set-Cookie: b"


def test_a_name_with_control_characters_makes_no_header_that_nobody_sends() -> None:
    answer = Answer(200, headers=(("X-Model-Name", "a\x01b\x7f\tc"),))

    assert dict(_encoded(answer.kind, answer.headers))[b"x-model-name"] == b"a b \tc"


@pytest.mark.parametrize(
    ("scope", "status"),
    [(scope_of("GET", "/nothing"), 404), (scope_of(), 413), (scope_of(client="203.0.113.9"), 401)],
)
def test_nothing_of_a_refused_request_stays(server: Server, scope: dict[str, Any], status: int) -> None:
    def refused() -> int:
        found = ask(server, dict(scope), Exchange([b"x" * 100_000] * 3)).status
        server._gateway.access_log.flush()
        return found

    def requests() -> dict[int, Request]:
        return {id(one): one for one in gc.get_objects() if type(one) is Request}

    refused()
    gc.collect()
    before = requests()
    gc.disable()
    try:
        assert refused() == status
        assert requests().keys() <= before.keys()
    finally:
        gc.enable()


def test_a_body_is_read_to_its_end_whatever_goes_wrong_before(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any) -> None:
        raise TypeError("unforeseen")

    monkeypatch.setattr(server._gateway._guard, "admit", fail)
    exchange = Exchange([BODY, BODY])

    assert ask(server, scope_of(), exchange).status == 500
    assert exchange.pieces == []


def test_a_page_that_did_not_change_has_no_kind_and_one_date(server: Server) -> None:
    first = ask(server, scope_of("GET", "/static/style.css"), Exchange([]))
    again = ask(server, scope_of("GET", "/static/style.css", if_none_match=first.headers["etag"]), Exchange([]))

    assert (again.status, again.body) == (304, b"")
    assert "content-type" not in again.headers
    # uvicorn adds its own.
    assert "date" not in first.headers


def test_an_address_is_read_as_it_was_meant() -> None:
    found = request_of({**scope_of(path="/models/a b/predict", client="::1"), "client": None})

    assert (found.path, found.client, found.headers["host"]) == ("/models/a b/predict", "", "localhost")


def test_a_log_that_nobody_reads_any_more_owes_no_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    access_log = server._gateway.access_log
    monkeypatch.setattr(access_log, "_stream", Gone())

    assert ask(server, scope_of(), Exchange([BODY])).status == 200
    access_log.flush()


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    """A body that is sent without its length."""
    for at in range(0, len(content), 50_000):
        yield content[at : at + 50_000]


@pytest.mark.parametrize("content", [b" " * 200_001, (HEADER + "\n" + (LINE + "\n") * 9000).encode()])
@pytest.mark.parametrize("kind", [JSON, CSV])
def test_a_body_without_a_length_is_not_cut_off_and_answered(client: Client, content: bytes, kind: str) -> None:
    answer = client.post("/predict", content=chunks(content), kind=kind)

    assert answer.status_code == 413
    assert answer.json()["error"]["problems"][0]["field"] == "body"


def test_a_body_of_just_the_limit_is_answered_with_and_without_a_length(client: Client) -> None:
    content = body(ROW).ljust(200_000)

    assert client.post("/predict", content=content, kind=JSON).status_code == 200
    for whole in (content, body(ROW)):
        assert client.post("/predict", content=chunks(whole), kind=JSON).status_code == 200


def test_a_body_over_the_limit_is_refused_before_it_is_read(service: Service) -> None:
    service.registry.aliases_now = {"champion": "7"}
    service.refresh()

    answer = service.client.post("/predict", content=b"x" * 300_000, kind="application/json")

    assert answer.status_code == 413
    assert answer.json()["error"]["problems"][0]["field"] == "body"
