"""Who may ask what, and how often. Effects: reads the token file."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address

from serving.http import Request
from serving.settings import LOCAL_HOSTS, ServingSettings
from serving.table import RequestRefused
from serving.tokens import TokenFile

_OPEN = ("/health", "/ready")
_RATE_OF_OTHERS = 1000.0
_WRONG_TOKENS_PER_S = 5.0
_BURST_S = 2.0
_MOST_CLIENTS = 10_000
MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 * 2**10


class Buckets:
    """Counts what clients do, and says when one does too much (a token bucket for each).

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, client: str, rate: float) -> bool:
        """Takes one of a client's requests; False where none is left."""
        with self._lock:
            left, now = self._now(client, rate)
            if left < 1:
                return False
            self._left[client] = (left - 1, now)
            return True

    def is_empty(self, client: str, rate: float) -> bool:
        """Whether nothing is left to a client."""
        with self._lock:
            return client in self._left and self._now(client, rate)[0] < 1

    def _now(self, client: str, rate: float) -> tuple[float, float]:
        now = self._clock()
        if len(self._left) > _MOST_CLIENTS:
            self._left.clear()
        most = max(rate * _BURST_S, 1.0)
        left, before = self._left.get(client, (most, now))
        return min(most, left + (now - before) * rate), now


class Guard:
    """Lets requests in or says why not.

    Args:
        settings: Who needs a token, which host names there are, how much a client may ask.
        tokens: The tokens.
        clock: Seconds that only grow.
    """

    def __init__(
        self, settings: ServingSettings, tokens: TokenFile, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._requests = Buckets(clock)
        self._wrong_tokens = Buckets(clock)
        self._hosts = frozenset({*LOCAL_HOSTS, *settings.allowed_hosts})

    def admit(self, request: Request, scope: str) -> str | None:
        """Lets a request in.

        Args:
            request: The request; its body need not be there yet.
            scope: What a token must allow, `webhook` for a route that checks a signature of its own.

        Returns:
            The id of the token that was given, None where none was needed or given.

        Raises:
            RequestRefused: 400 for an unknown host name, 431 for too many or too large headers, 429 for too many
                requests, 401 without a good token where one is needed, 403 for one that does not allow this.
        """
        self._check_headers(request)
        local = is_loopback(request.client)
        rate = float(self._settings.rate_per_s) or (0.0 if local else _RATE_OF_OTHERS)
        if rate and not self._requests.take(request.client, rate):
            raise RequestRefused(429, "too_many_requests", f"more than {rate:.0f} requests a second: wait a moment")
        if scope == "webhook" or request.path in _OPEN:
            return None
        needed = scope == "operate" or self._settings.locked_for == "all"
        needed = needed or (self._settings.locked_for == "others" and not local)
        given = request.headers.get("authorization", "")
        is_token = given[:7].lower() == "bearer "
        return self._check_token(request.client, given, scope) if needed or is_token else None

    def _check_headers(self, request: Request) -> None:
        headers = request.headers
        if len(headers) > MAX_HEADERS or sum(map(len, headers.values())) > MAX_HEADER_BYTES:
            raise RequestRefused(
                431, "headers_too_large", f"more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes"
            )
        if "*" in self._settings.allowed_hosts or request.path in _OPEN:
            return
        host = headers.get("host", "").lower()
        if host in self._hosts:
            return
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if name not in self._hosts:
            shown = name[:60].encode("ascii", "replace").decode()
            raise RequestRefused(
                400, "unknown_host", f"the host name {shown!r} is not served: name it in TRACKYARD_SERVING_HOSTS"
            )

    def _check_token(self, client: str, given: str, scope: str) -> str:
        if self._wrong_tokens.is_empty(client, _WRONG_TOKENS_PER_S):
            raise RequestRefused(429, "too_many_requests", "too many wrong tokens: wait a moment")
        kind, _, text = given.partition(" ")
        own = self._settings.own_token
        if own and scope == "read" and hmac.compare_digest(text.strip().encode(), own.encode()):
            return "trackyard"
        token = self._tokens.check(text.strip()) if kind.lower() == "bearer" else None
        if token is None:
            if given:
                self._wrong_tokens.take(client, _WRONG_TOKENS_PER_S)
            raise RequestRefused(
                401, "no_token", "a token is needed: 'Authorization: Bearer ty_...', made by 'trackyard token create'"
            )
        if scope not in token.scopes:
            raise RequestRefused(
                403, "no_scope", f"the token does not allow {scope!r}: it allows {', '.join(token.scopes)}"
            )
        return token.token_id


@lru_cache(maxsize=4096)
def is_loopback(client: str) -> bool:
    """Whether an address is of this machine itself."""
    try:
        found = ip_address(client.strip("[]"))
    except ValueError:
        return client.startswith("unix:")
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)
