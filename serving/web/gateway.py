"""Every request and answer goes through here: who may ask, the fast routes, headers, metrics, and the log line.

Effects: one log line a request. Flask makes the pages; `/predict` and `/status`, which programs ask thousands of times
a second, are answered here, since Flask's own share of such an answer is many times that of the answer itself.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterable

from serving.web.access import Guard
from serving.web.access_log import Journal
from serving.web.messages import Answer, Request, RequestRefused
from serving.web.metrics import Telemetry

log = logging.getLogger(__name__)

HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Cache-Control", "no-store"),
)
_WITH = {401: (("WWW-Authenticate", "Bearer"),), **dict.fromkeys((429, 503), (("Retry-After", "1"),))}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# To tell requests apart, which need not be hard to guess.
_ids = random.Random()  # noqa: S311
Route = Callable[[Request], Answer | None]


class Front:
    """What a server calls, through `respond` or as a WSGI application.

    Args:
        guard: Lets requests in.
        telemetry: Counts them.
        scope_of: What a token must allow for a request.
        routes: Tried one after the other; the first answer counts.
        journal: Logs and counts answers.
    """

    def __init__(
        self,
        guard: Guard,
        telemetry: Telemetry,
        scope_of: Callable[[Request], str],
        routes: Iterable[Route],
        journal: Journal,
    ) -> None:
        self._guard = guard
        self._telemetry = telemetry
        self._scope_of = scope_of
        self._routes = tuple(routes)
        self._journal = journal

    def refusal_of(self, request: Request) -> Answer | None:
        """Why a request is not let in, before its body is read; None where it is."""
        given = request.headers.get("x-request-id", "")
        request.request_id = given if given and _REQUEST_ID.fullmatch(given) else f"{_ids.getrandbits(64):016x}"

        def admit() -> None:
            request.token_id = self._guard.admit(request, self._scope_of(request))

        return self.kept(request, admit)

    def answer(self, request: Request) -> Answer:
        """The answer to a request that was let in."""
        nothing = RequestRefused(404, "not_found", "there is nothing at this address")
        return self.kept(request, lambda: self._routed(request)) or Answer.refusal(nothing)

    def _routed(self, request: Request) -> Answer | None:
        return next((found for route in self._routes if (found := route(request)) is not None), None)

    def kept(self, request: Request, work: Callable[[], Answer | None]) -> Answer | None:
        """What work on a request returns; an answer that says why where it is refused or fails."""
        try:
            return work()
        except RequestRefused as refused:
            return Answer.refusal(refused, route=request.route, headers=_WITH.get(refused.status, ()))
        except Exception as error:
            log.error("id=%s path=%s", request.request_id, request.path, exc_info=error)
            self._telemetry.errors.labels(type(error).__name__).inc()
            internal = RequestRefused(500, "internal", "something unexpected went wrong: see the service's log")
            return Answer.refusal(internal, route=request.route)

    def tell(self, request: Request, answer: Answer, seconds: float) -> None:
        """Counts and logs an answer, a moment later."""
        self._journal.add(time.time(), request, answer, seconds)

    def headers(self, request: Request, answer: Answer) -> list[tuple[str, str]]:
        """All headers of an answer."""
        return [("X-Request-Id", request.request_id), *headers_of(answer.kind, answer.headers)]

    def respond(self, request: Request) -> tuple[Answer, list[tuple[str, str]]]:
        """Lets a request in, answers it, counts and logs it."""
        started = time.perf_counter()
        answer = self.refusal_of(request) or self.answer(request)
        self.tell(request, answer, time.perf_counter() - started)
        return answer, self.headers(request, answer)


def headers_of(kind: str, own: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of an answer of a kind: its own, and those that all have and it does not set itself."""
    own = list(own)
    names = {name for name, _ in own}
    return [("Content-Type", kind), *own, *(pair for pair in HEADERS if pair[0] not in names)]
