"""Who may ask what, and how often. Effects: reads the token file."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address

from ml.errors import Misconfigured
from serving.settings import LOCAL_HOSTS, ServingSettings
from serving.web.messages import Request, RequestRefused
from serving.web.routing import OPEN, OPERATE, READ, WEBHOOK
from serving.web.tokens import Token, TokenFile

log = logging.getLogger(__name__)

_RATE_OF_OTHERS = 1000.0
_WRONG_TOKENS_PER_S = 5.0
_BURST_S = 2.0
_MOST_CLIENTS = 10_000
MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 * 2**10


class Buckets:
    """Counts what clients do, and says when one does too much (a token bucket for each)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, client: str, rate: float) -> bool:
        """Takes one of a client's requests; False where none is left."""
        most = max(rate * _BURST_S, 1.0)
        with self._lock:
            now = self._clock()
            if len(self._left) > _MOST_CLIENTS:
                self._left.clear()
            left, before = self._left.get(client, (most, now))
            left = min(most, left + (now - before) * rate)
            if left < 1:
                return False
            self._left[client] = (left - 1, now)
            return True


class Guard:
    """Lets requests in or says why not; `clock` tells seconds that only grow."""

    def __init__(
        self, settings: ServingSettings, tokens: TokenFile, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._requests = Buckets(clock)
        self._wrong_tokens = Buckets(clock)
        self._own = Token("trackyard", "the stack itself", ("read",), "", "") if settings.internal_token else None
        self._logged = ""
        self._hosts = frozenset({*LOCAL_HOSTS, *settings.allowed_hosts})

    def admit(self, request: Request, scope: str) -> str | None:
        """Lets a request in, before its body is there; notes whether it may be told the state, which `/ready` asks.

        A good token is never slowed down by what others do, not even at one address with them, as behind a proxy. It
        must allow the scope, as a route has it.

        Returns:
            The id of the token that was given, None where none was needed or given.

        Raises:
            RequestRefused: 400 for an unknown host name, 431 for too many or too large headers, 429 for too many
                requests, 401 without a good token where one is needed, 403 for one that does not allow this, 503 where
                the tokens cannot be read.
        """
        _check_size(request.headers)
        if scope == OPEN:
            self._check_rate(request, None)
            request.may_read = self._may_read(request)
            return None
        self._check_host(request.headers)
        given = request.headers.get("authorization", "")
        token = self._token_of(given) if given else None
        self._check_rate(request, token)
        if scope == WEBHOOK:
            return None
        return self._check_token(request.client, given, token, scope)

    def _may_read(self, request: Request) -> bool:
        """Whether a request that was let in for nothing may be told as much as `/status` tells."""
        given = request.headers.get("authorization", "")
        try:
            self._check_host(request.headers)
            self._check_token(request.client, given, self._token_of(given) if given else None, READ)
        except RequestRefused:
            return False
        return True

    def _check_rate(self, request: Request, token: Token | None) -> None:
        rate = float(self._settings.rate_per_s) or (0.0 if is_loopback(request.client) else _RATE_OF_OTHERS)
        who = f"token {token.token_id}" if token else request.client
        if rate and not self._requests.take(who, rate):
            raise RequestRefused(429, "too_many_requests", f"more than {rate:.0f} requests a second: wait a moment")

    def _check_host(self, headers: Mapping[str, str]) -> None:
        if "*" in self._settings.allowed_hosts:
            return
        host = headers.get("host", "").lower()
        if host in self._hosts:
            return
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if name not in self._hosts:
            shown = name[:60].encode("ascii", "replace").decode()
            message = f"the host name {shown!r} is not served: name it in TRACKYARD_SERVING_HOSTS"
            raise RequestRefused(400, "unknown_host", message)

    def _token_of(self, given: str) -> Token | None:
        """The good token that came in a header, None for any other; RequestRefused (503) where the file is damaged."""
        kind, _, text = given.partition(" ")
        if kind.lower() != "bearer":
            return None
        if self._own and hmac.compare_digest(text.strip().encode(), self._settings.internal_token.encode()):
            return self._own
        try:
            return self._tokens.check(text.strip())
        except Misconfigured as error:
            if str(error) != self._logged:
                self._logged = str(error)
                log.error("tokens: %s", error)
            why = "the service cannot read its tokens: its log says why"
            raise RequestRefused(503, "tokens_unreadable", why) from error

    def _check_token(self, client: str, given: str, token: Token | None, scope: str) -> str | None:
        mode = self._settings.token_required_for
        needed = scope == OPERATE or mode == "all" or (mode == "others" and not is_loopback(client))
        if token is None:
            if not needed and given[:7].lower() != "bearer ":
                return None
            if given and not self._wrong_tokens.take(client, _WRONG_TOKENS_PER_S):
                raise RequestRefused(429, "too_many_requests", "too many wrong tokens: wait a moment")
            message = "a token is needed: 'Authorization: Bearer ty_...', made by 'trackyard token create'"
            raise RequestRefused(401, "no_token", message)
        if scope not in token.scopes:
            message = f"the token does not allow {scope!r}: it allows {', '.join(token.scopes)}"
            raise RequestRefused(403, "no_scope", message)
        return token.token_id


def _check_size(headers: Mapping[str, str]) -> None:
    if len(headers) > MAX_HEADERS or sum(map(len, headers.values())) > MAX_HEADER_BYTES:
        raise RequestRefused(431, "headers_too_large", f"more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes")


@lru_cache(maxsize=4096)
def is_loopback(client: str) -> bool:
    """Whether an address is of this machine itself."""
    try:
        address = ip_address(client.strip("[]"))
    except ValueError:
        return client.startswith("unix:")
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
