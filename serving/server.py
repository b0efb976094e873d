"""The service as an ASGI application: the one way that a request goes, from its head to the end of its answer.

Bodies arrive here, under their limits of size and time, before anything waits for them in a thread: however many
clients send slowly, nobody else notices. Short questions are answered at once; long ones and pages go to threads.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from serving.pages.site import Pages
from serving.settings import ServingSettings
from serving.web.gateway import HEADERS, Gateway
from serving.web.messages import Answer, Request, RequestRefused, TakesLonger, problem

_GONE = Answer(499, facts={"error": "client_gone"})
"""For the log, which knows this status from other servers: nobody is there to read an answer."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_THREADS = 8
# One process works on large requests, one after the other; this thread waits for it, and the rest wait for the thread.
_LARGE_THREADS = 1
_MOST_WAITING = 256
_MOST_LARGE_WAITING = 64
_MOST_HELD = 64 * 2**20
"""The most bytes of bodies that are here at once, on their way or waiting."""
_PIECE = 128 * 2**10
_MOST_DRAINED = 256 * 2**20


async def _send_body(send: Send, body: bytes) -> None:
    """Sends a body in pieces: with megabytes at once everybody else would wait until they are written."""
    for at in range(0, len(body) - _PIECE, _PIECE):
        await send({"type": "http.response.body", "body": body[at : at + _PIECE], "more_body": True})
        await asyncio.sleep(0)
    rest = (len(body) - 1) // _PIECE * _PIECE if body else 0
    await send({"type": "http.response.body", "body": body[rest:]})


class _Queue:
    """So many threads for what takes its time, for which only so many requests may be at work or waiting."""

    def __init__(self, threads: int, most: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = most
        self._count = 0

    async def answer(self, work: Callable[[Request], Answer], request: Request) -> Answer:
        """What the work returns in one of the threads; raises as `place`, or what the work raises."""
        with self.place():
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, request)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Counts one that is at work or waiting; raises RequestRefused (503) where too much is waiting already."""
        if self._count >= self._most:
            raise busy()
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


def busy() -> RequestRefused:
    """What is said where more is waiting than can."""
    return RequestRefused(503, "busy", "more is waiting to be answered than can wait: try again in a moment")


class _ClientGone(Exception):
    """Nobody is there any more to read an answer."""


class Server:
    """Answers an ASGI server's requests; `pages` answers the routes that have a view."""

    def __init__(self, gateway: Gateway, pages: Pages, settings: ServingSettings) -> None:
        self._gateway = gateway
        self._settings = settings
        self._pages = pages
        self._large = _Queue(_LARGE_THREADS, _MOST_LARGE_WAITING, "large")
        self._others = _Queue(_THREADS, _MOST_WAITING, "answer")
        self._held = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started = time.perf_counter()
        request = request_of(scope)
        try:
            answer = await self._answer(request, scope, receive)
        except _ClientGone:
            answer = _GONE
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            answer = self._gateway.failed(request, error)
        finally:
            self._held -= len(request.body)
            # The log has the request for a moment longer.
            request.body = b""
        self._gateway.access_log.add(request, answer, time.perf_counter() - started)
        if answer is _GONE:
            return
        is_empty = answer.status in (204, 304)
        is_bare = is_empty or request.method == "HEAD"
        headers = list(_encoded("" if is_empty else answer.kind, answer.headers))
        headers.append((b"x-request-id", request.request_id.encode()))
        if not is_bare:
            headers.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await _send_body(send, b"" if is_bare else answer.body)

    async def _answer(self, request: Request, scope: Message, receive: Receive) -> Answer:
        refusal: Exception | None = None
        try:
            route = self._gateway.admit(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the body is read to its end
            refusal = error
        if request.method not in ("GET", "HEAD") or "content-length" in request.headers:
            await self._read_body(request, receive, refusal)
        if refusal is not None:
            raise refusal
        if route.answer is None:
            with self._others.place():
                return await self._pages.answer(scope)
        if route.is_quick:
            request.at_once = True
            try:
                return route.answer(request)
            except TakesLonger as longer:
                request.at_once, request.is_large = False, longer.is_large
        queue = self._large if request.is_large else self._others
        return await queue.answer(route.answer, request)

    async def _read_body(self, request: Request, receive: Receive, refusal: Exception | None) -> None:
        """Reads the body; one that is not taken is read to its end, so that its sender can read the answer."""
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                await self._gather(pieces, receive, refusal)
        except TimeoutError:
            slow = f"the body did not arrive within {self._settings.body_timeout_s:.0f} s"
            problems = [problem("body", "all of it in time")]
            raise RequestRefused(408, "body_too_slow", slow, problems, (("Connection", "close"),)) from None
        finally:
            request.body = b"".join(pieces)

    async def _gather(self, pieces: list[bytes], receive: Receive, refusal: Exception | None) -> None:
        size, more = 0, True
        while more and size <= _MOST_DRAINED:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientGone
            piece, more = message.get("body", b""), message.get("more_body", False)
            size += len(piece)
            if refusal is None:
                pieces.append(piece)
                self._held += len(piece)
                refusal = self._too_much(size)
                if refusal is not None:
                    self._held -= size
                    pieces.clear()
        if refusal is not None:
            raise refusal

    def _too_much(self, size: int) -> RequestRefused | None:
        if size > self._settings.max_body_bytes:
            rule = f"at most {self._settings.max_body_bytes} bytes"
            message = f"the body is too large: send {rule} at a time"
            return RequestRefused(413, "body_too_large", message, [problem("body", rule)])
        return busy() if self._held > _MOST_HELD else None


def request_of(scope: Message) -> Request:
    """A request as the front takes it."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client")
    return Request(
        scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, client[0] if client else ""
    )


_CONTROL = re.compile(rb"[\x00-\x08\n-\x1f\x7f]")
"""What would end a header before its end, or is none that uvicorn sends."""


@lru_cache(maxsize=1000)
def _encoded(kind: str, own: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """An answer's kind, if any, its own headers, and those that all have and it does not set itself."""
    names = {name for name, _ in own}
    headers = [*([("Content-Type", kind)] if kind else []), *own, *(pair for pair in HEADERS if pair[0] not in names)]
    return tuple(
        (name.lower().encode("latin-1"), _CONTROL.sub(b" ", value.encode("latin-1", "replace")))
        for name, value in headers
    )
