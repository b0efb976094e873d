"""The service for granian's own interface (RSGI): `granian --interface rsgi serving.server:app`.

Bodies arrive here, under their limits of size and time, before anything waits for them in a thread: however many
clients send slowly, nobody else notices. Short questions are answered at once; long ones and pages go to threads.
Effects: the settings are read from the environment when a worker starts.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from serving.api import too_large
from serving.app import app_from_env
from serving.front import Front
from serving.http import Answer, Request, decoded
from serving.refreshing import keep_refreshing
from serving.settings import ServingSettings
from serving.table import RequestRefused

_THREADS = 8
_QUICK_BYTES = 16 * 2**10
_QUICK = ("/predict", "/status", "/health")
_PARENT_S = 0.5
_MOST_DRAINED = 256 * 2**20


class Server:
    """Answers granian's requests.

    Args:
        front: What answers.
        settings: The limits of bodies.
    """

    def __init__(self, front: Front, settings: ServingSettings) -> None:
        self._front = front
        self._settings = settings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="answer")

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answers one request."""
        started = time.perf_counter()
        request = request_of(scope)
        answer = self._front.refusal_of(request)
        has_body = request.method not in ("GET", "HEAD") or "content-length" in request.headers
        if has_body:
            answer = await self._body(request, protocol, answer) or answer
        if answer is None and request.path.endswith(_QUICK) and len(request.body) <= _QUICK_BYTES:
            answer = self._front.answer(request)
        elif answer is None:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._front.answer, request)
        headers = self._front.finish(request, answer, time.perf_counter() - started)
        if request.method == "HEAD" or answer.status in (204, 304):
            protocol.response_empty(answer.status, headers)
        else:
            protocol.response_bytes(answer.status, headers, answer.body)

    async def _body(self, request: Request, protocol: Any, refusal: Answer | None) -> Answer | None:
        """Reads the body; one that is too large is read to its end, so that its sender can read the answer."""
        limit = self._settings.max_body_bytes if refusal is None else 0
        length = request.headers.get("content-length", "")
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                if length.isdecimal() and int(length) <= limit:
                    request.body = await protocol()
                    return None
                request.body, size = await _limited(protocol, limit)
        except TimeoutError:
            slow = f"the body did not arrive within {self._settings.body_timeout_s:.0f} s"
            problems = [{"row": None, "field": "body", "rule": "all of it in time"}]
            refused = RequestRefused(408, "body_too_slow", slow, problems)
            return Answer.refusal(refused, headers=(("Connection", "close"),))
        return Answer.refusal(too_large(self._settings)) if refusal is None and size > limit else None


async def _limited(protocol: Any, limit: int) -> tuple[bytes, int]:
    """The body as far as it is within a limit, and how much came in all."""
    pieces: list[bytes] = []
    size = 0
    async for piece in protocol:
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        if size > _MOST_DRAINED:
            break
    return b"".join(pieces), size


def request_of(scope: Any) -> Request:
    """A request as the front takes it."""
    headers = dict(scope.headers.items())
    if "host" not in headers and scope.authority:
        headers["host"] = scope.authority
    client = scope.client.rsplit(":", 1)[0]
    return Request(scope.method, decoded(scope.path), scope.query_string, headers, client)


def _build() -> Server:
    app = app_from_env(os.environ)
    told = app.extensions["trackyard"]
    keep_refreshing(_EndWithParent().look, lambda stop: stop.wait(_PARENT_S), "parent")
    return Server(told["front"], told["settings"])


class _EndWithParent:
    """Stops a worker whose granian was killed: it would go on answering beside the next one, whose port it shares."""

    def __init__(self) -> None:
        self._parent = os.getppid()

    def look(self) -> None:
        """Begins the ordinary stop, which finishes what was begun, when the parent is another one."""
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGTERM)


def __getattr__(name: str) -> Any:
    """Builds the application when a server asks for `app`, so that importing this module does nothing."""
    if name == "app":
        globals()["app"] = _build()
        return globals()["app"]
    raise AttributeError(name)
