"""The service as granian asks it: bodies under their limits, headers, and what goes to a thread."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from serving import ServingSettings, create_app
from serving.server import Server, request_of
from serving.shelf import ModelShelf
from tests.unit.serving.test_champion import Registry
from tests.unit.serving.test_scoring import ROW

BODY = json.dumps({"rows": [ROW]}).encode()


@dataclass
class Scope:
    """A request's head as granian has it."""

    method: str = "POST"
    path: str = "/predict"
    query_string: str = ""
    client: str = "127.0.0.1:5000"
    authority: str | None = None
    headers: dict[str, str] = field(default_factory=lambda: {"host": "localhost", "content-type": "application/json"})


class Protocol:
    """A request's body, and what came back, as granian has them."""

    def __init__(self, pieces: list[bytes], pause_s: float = 0.0) -> None:
        self._pieces = pieces
        self._pause_s = pause_s
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    async def __call__(self) -> bytes:
        return b"".join([piece async for piece in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(self._pause_s)
            yield piece

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, dict(headers), body

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = status, dict(headers)


@pytest.fixture
def server(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> Server:
    registry = Registry(folder, tags)
    registry.aliases_now = {"champion": "7"}
    shelf = ModelShelf(registry, "ad-click", settings.state_dir)
    shelf.refresh()
    quick = replace(settings, body_timeout_s=0.3)
    return Server(create_app(quick, shelf=shelf, start_background=False).extensions["trackyard"]["front"], quick)


def ask(server: Server, scope: Scope, protocol: Protocol) -> Protocol:
    # In a thread of its own: a browser's test before it in the same process leaves its event loop running.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, server.__rsgi__(scope, protocol)).result()
    return protocol


def of_length(length: int, **changes: Any) -> Scope:
    scope = Scope(**changes)
    scope.headers["content-length"] = str(length)
    return scope


@pytest.mark.parametrize("with_length", [True, False])
def test_a_row_is_predicted_with_and_without_a_length(server: Server, with_length: bool) -> None:
    scope = of_length(len(BODY)) if with_length else Scope()

    found = ask(server, scope, Protocol([BODY[:10], BODY[10:]]))

    assert found.status == 200, found.body
    assert found.headers["X-Model-Version"] == "7"
    assert json.loads(found.body)["model"]["version"] == "7"


@pytest.mark.parametrize("with_length", [True, False])
def test_a_body_over_the_limit_is_read_to_its_end_and_refused(server: Server, with_length: bool) -> None:
    scope = of_length(300_000) if with_length else Scope()

    found = ask(server, scope, Protocol([b"x" * 100_000] * 3))

    assert found.status == 413
    assert json.loads(found.body)["error"]["problems"][0]["rule"] == "at most 200000 bytes"


@pytest.mark.parametrize("with_length", [True, False])
def test_a_body_that_takes_too_long_is_cut_off(server: Server, with_length: bool) -> None:
    scope = of_length(len(BODY)) if with_length else Scope()

    found = ask(server, scope, Protocol([BODY, b" "], pause_s=0.25))

    assert found.status == 408
    assert found.headers["Connection"] == "close"


def test_nothing_is_kept_of_a_body_that_nobody_may_send(server: Server) -> None:
    found = ask(server, of_length(len(BODY), client="203.0.113.9:1"), Protocol([BODY]))

    assert found.status == 401
    assert found.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/docs", 200), ("HEAD", "/status", 200), ("GET", "/x", 404)]
)
def test_pages_are_answered_too(server: Server, method: str, path: str, status: int) -> None:
    found = ask(server, Scope(method, path), Protocol([]))

    assert found.status == status
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert (found.body == b"") is (method == "HEAD")


def test_an_address_is_read_as_it_was_meant() -> None:
    found = request_of(Scope(path="/models/a%20b/predict", client="[::1]:80", headers={}, authority="localhost"))

    assert (found.path, found.client, found.headers["host"]) == ("/models/a b/predict", "[::1]", "localhost")


def test_a_log_that_nobody_reads_any_more_owes_no_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(server._front, "_stream", Gone())

    assert ask(server, of_length(len(BODY)), Protocol([BODY])).status == 200
