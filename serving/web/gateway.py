"""What every request goes through before and after its route: who may ask, headers, metrics, the log line.

Effects: one log line a request.
"""

from __future__ import annotations

import logging
import random
import re

from serving.web.access import Guard
from serving.web.access_log import AccessLog
from serving.web.messages import Answer, Request, RequestRefused
from serving.web.metrics import Telemetry
from serving.web.routing import READ, Route, Router

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
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# To tell requests apart, which need not be hard to guess.
_ids = random.Random()  # noqa: S311


class Gateway:
    """Lets requests in, turns what goes wrong into answers, and logs and counts them."""

    def __init__(self, guard: Guard, telemetry: Telemetry, router: Router, access_log: AccessLog) -> None:
        self._guard = guard
        self._telemetry = telemetry
        self._router = router
        self.access_log = access_log

    def admit(self, request: Request) -> Route:
        """Lets a request in, before its body is read, and notes its route, its name in the log, and who asks.

        Raises:
            RequestRefused: It may not be asked, not this way, or there is nothing at its address.
        """
        given = request.headers.get("x-request-id", "")
        request.request_id = given if given and _REQUEST_ID.fullmatch(given) else f"{_ids.getrandbits(64):016x}"
        route, request.name = self._router.find(request.path)
        # Who may not read is not told either what there is.
        request.token_id = self._guard.admit(request, route.scope if route else READ)
        if route is None:
            raise RequestRefused(404, "not_found", "there is nothing at this address")
        request.route = route.path
        route.check_method(request.method)
        return route

    def failed(self, request: Request, error: Exception) -> Answer:
        """The answer to a request that was refused, or that something unforeseen happened to."""
        if isinstance(error, RequestRefused):
            # What it came by holds the request and what was read of its body, and is held by it in turn: without an end
            # to that it would all stay until the collector comes by.
            error.__traceback__ = None
            return Answer.refusal(error)
        log.error("id=%s path=%s", request.request_id, request.path, exc_info=error)
        self._telemetry.errors.labels(type(error).__name__).inc()
        message = "something unexpected went wrong: see the service's log"
        return Answer.refusal(RequestRefused(500, "internal", message))
