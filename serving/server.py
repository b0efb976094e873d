"""The service as an ASGI application: `python -m serving` runs it under uvicorn.

Bodies arrive here, under their limits of size and time, before anything waits for them in a thread: however many
clients send slowly, nobody else notices. Short questions are answered at once; long ones and pages go to threads.
Effects: the settings are read from the environment when a worker starts.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from serving.api.routes import QUICK_BYTES, Api
from serving.api.routes import is_large as is_large_body
from serving.app import app_from_env
from serving.settings import ServingSettings
from serving.upstream.polling import keep_refreshing
from serving.web.gateway import Front, headers_of
from serving.web.messages import Answer, Request, RequestRefused, too_large

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
_PARENT_S = 0.5
# A thread that computes lets the event loop in after so many seconds; Python's own 5 ms would be what everybody waits.
_SWITCH_S = 0.0005
_TAKEN = "trackyard.request"
"""Where a scope has the request that was let in and could not be answered at once."""
_BUSY = RequestRefused(503, "busy", "more is waiting to be answered than can wait: try again in a moment")


async def _send_body(send: Send, body: bytes) -> None:
    """Sends a body in pieces: with megabytes at once everybody else would wait until they are written."""
    for at in range(0, len(body) - _PIECE, _PIECE):
        await send({"type": "http.response.body", "body": body[at : at + _PIECE], "more_body": True})
        await asyncio.sleep(0)
    rest = (len(body) - 1) // _PIECE * _PIECE if body else 0
    await send({"type": "http.response.body", "body": body[rest:]})


class _Pool:
    """Threads for whose work only so much may wait.

    Args:
        threads: How many.
        most_waiting: How many requests may be with them, at work or waiting.
        name: What they are called.
    """

    def __init__(self, threads: int, most_waiting: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = most_waiting
        self._count = 0

    async def answer(self, work: Callable[[Request], Answer], request: Request) -> Answer:
        """What the work returns, or that too much is waiting for it."""
        if self._count >= self._most:
            return busy()
        self._count += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, request)
        finally:
            self._count -= 1


def busy() -> Answer:
    """What is said where more is waiting than can."""
    return Answer.refusal(_BUSY, headers=(("Retry-After", "1"),))


class Server:
    """Answers an ASGI server's requests.

    Args:
        front: What answers.
        api: Its answers to programs.
        settings: The limits of bodies.
    """

    def __init__(self, front: Front, api: Api, settings: ServingSettings) -> None:
        self._front = front
        self._api = api
        self._settings = settings
        # They are the same list for a second, until the date in them is another.
        self._server_headers: Sequence[tuple[bytes, bytes]] = ()
        self._server_block = b""
        self._large = _Pool(_LARGE_THREADS, _MOST_LARGE_WAITING, "large")
        self._others = _Pool(_THREADS, _MOST_WAITING, "answer")
        self._held = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started = time.perf_counter()
        taken: Request | None = scope.get(_TAKEN)
        request = taken or request_of(scope)
        try:
            answer = None if taken else await self._begun(request, receive)
            if answer is None:
                is_large = request.path.endswith("/predict") and is_large_body(request)
                answer = await (self._large if is_large else self._others).answer(self._front.answer, request)
        finally:
            self._held -= 0 if taken else len(request.body)
        self._front.tell(request, answer, time.perf_counter() - started)
        if answer is _GONE:
            return
        is_bare = request.method == "HEAD" or answer.status in (204, 304)
        headers = _encoded(request, answer)
        if not is_bare:
            headers.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await _send_body(send, b"" if is_bare else answer.body)

    async def _begun(self, request: Request, receive: Receive) -> Answer | None:
        """Lets a request in and reads its body; what can be answered now, None for what takes longer."""
        answer = self._front.refusal_of(request)
        if request.method not in ("GET", "HEAD") or "content-length" in request.headers:
            answer = await self._body(request, receive, answer)
        return answer or self._front.kept(request, lambda: self._api.quick(request))

    def at_once(self, scope: Message, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        """The whole answer to a short question, from its status line on; None for any other (`protocol`).

        Args:
            scope: The request.
            body: Its whole body.
            headers: What the server adds to every answer.
        """
        started = time.perf_counter()
        path = scope["path"]
        is_short = scope["method"] == ("POST" if body else "GET") and len(body) <= QUICK_BYTES
        if not is_short or not (path.endswith("/predict") or path in ("/status", "/health")):
            return None
        request = request_of(scope)
        request.body = body
        answer = self._front.refusal_of(request) or self._front.kept(request, lambda: self._api.quick(request))
        if answer is None:
            scope[_TAKEN] = request
            return None
        self._front.tell(request, answer, time.perf_counter() - started)
        if headers is not self._server_headers:
            self._server_headers, self._server_block = headers, _block(headers)
        return b"%s%s%sx-request-id: %s\r\ncontent-length: %d\r\n\r\n%s" % (
            STATUS_LINE[answer.status], self._server_block, _own_block(answer.kind, answer.headers),
            request.request_id.encode(), len(answer.body), answer.body,
        )  # fmt: skip

    async def _body(self, request: Request, receive: Receive, refusal: Answer | None) -> Answer | None:
        """Reads the body; one that is not taken is read to its end, so that its sender can read the answer.

        A sender that is gone in the middle of it has not asked for what had come until then.
        """
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                return await self._pieces(pieces, receive, refusal)
        except TimeoutError:
            slow = f"the body did not arrive within {self._settings.body_timeout_s:.0f} s"
            problems = [{"row": None, "field": "body", "rule": "all of it in time"}]
            refused = RequestRefused(408, "body_too_slow", slow, problems)
            return Answer.refusal(refused, headers=(("Connection", "close"),))
        finally:
            request.body = b"".join(pieces)

    async def _pieces(self, pieces: list[bytes], receive: Receive, refusal: Answer | None) -> Answer | None:
        """Gathers a body; returns why it is not taken, None where it is."""
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return _GONE
            piece = message.get("body", b"")
            size += len(piece)
            if refusal is None:
                self._held += len(piece)
                pieces.append(piece)
                if size > self._settings.max_body_bytes:
                    refusal = Answer.refusal(too_large(self._settings))
                elif self._held > _MOST_HELD:
                    refusal = busy()
                if refusal is not None:
                    self._held -= size
                    pieces.clear()
            if not message.get("more_body") or size > _MOST_DRAINED:
                return refusal


def request_of(scope: Message) -> Request:
    """A request as the front takes it."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client")
    return Request(
        scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, client[0] if client else ""
    )


_LINE_END = re.compile(rb"[\r\n\0]")
"""What would end a header before its end."""


def _pair(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode("latin-1"), _LINE_END.sub(b" ", value.encode("latin-1", "replace"))


def _encoded(request: Request, answer: Answer) -> list[tuple[bytes, bytes]]:
    return [*_own(answer.kind, answer.headers), (b"x-request-id", request.request_id.encode())]


@lru_cache(maxsize=1000)
def _own(kind: str, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(_pair(*pair) for pair in headers_of(kind, headers))


@lru_cache(maxsize=1000)
def _own_block(kind: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    return _block(_own(kind, headers))


def _block(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%s: %s\r\n" % pair for pair in headers)


def build() -> Server:
    """The service, from the environment, with a watch over the process that started this one."""
    app = app_from_env(os.environ)
    told = app.extensions["trackyard"]
    sys.setswitchinterval(_SWITCH_S)
    threading.Thread(target=told["bulk"].start, name="bulk", daemon=True).start()
    if os.environ.get(WORKER_OF):
        keep_refreshing(_EndWithParent(int(os.environ[WORKER_OF])).look, lambda stop: stop.wait(_PARENT_S), "parent")
    # What is there now stays, and an answer makes a few objects that go again: looking through them often is no use.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    return Server(told["front"], told["api"], told["settings"])


WORKER_OF = "TRACKYARD_SERVING_PARENT"
"""The variable with the process that started this one as one of several."""


class _EndWithParent:
    """Stops a worker whose parent was killed: it would go on answering beside the next ones, whose port it shares.

    Args:
        parent: The process that started it.
    """

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def look(self) -> None:
        """Begins the ordinary stop, which finishes what was begun, when the parent is another one."""
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGTERM)
