"""MLflow's webhooks: whether one is genuine. Pure, but for the deliveries that it remembers.

MLflow signs `<delivery id>.<timestamp>.<body>` with HMAC-SHA256 and sends `v1,<base64>` (mlflow/webhooks/delivery.py,
MLflow 3.17; it follows https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping

from serving.web.messages import RequestRefused

WINDOW_S = 300.0
"""How far a delivery's time may be from ours, in seconds; as Standard Webhooks has it."""
_MOST_REMEMBERED = 10_000


class Webhooks:
    """Tells deliveries that are signed with our secret from others; without a secret none is taken."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode()
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}

    def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Lets a delivery pass once.

        Raises:
            RequestRefused: 404 where no secret is set, 401 for a wrong signature or a time that is too far from ours,
                409 for one that came before, 503 for one more than can be remembered.
        """
        if not self._secret:
            raise RequestRefused(404, "no_webhooks", "no webhooks are taken: set TRACKYARD_WEBHOOK_SECRET")
        delivery = headers.get("x-mlflow-delivery-id", "")
        moment = headers.get("x-mlflow-timestamp", "")
        self._check_signature(f"{delivery}.{moment}.".encode() + body, headers.get("x-mlflow-signature", ""))
        now = self._clock()
        if not delivery or not moment.isdecimal() or abs(now - int(moment[:15])) > WINDOW_S:
            raise RequestRefused(401, "bad_time", f"the delivery is not from the last {WINDOW_S:.0f} s: set the clocks")
        self._remember(delivery, now)

    def _check_signature(self, signed: bytes, given: str) -> None:
        expected = base64.b64encode(hmac.new(self._secret, signed, hashlib.sha256).digest())
        version, _, signature = given.partition(",")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected) or version != "v1":
            raise RequestRefused(401, "bad_signature", "the delivery is not signed with our secret")

    def _remember(self, delivery: str, now: float) -> None:
        with self._lock:
            # In the order in which they came; one that is older than the window twice over is refused for its time.
            while self._seen and now - next(iter(self._seen.values())) > 2 * WINDOW_S:
                del self._seen[next(iter(self._seen))]
            if delivery in self._seen:
                raise RequestRefused(409, "replayed", "this delivery came before")
            if len(self._seen) >= _MOST_REMEMBERED:
                most = f"{_MOST_REMEMBERED:,} deliveries came within {2 * WINDOW_S:.0f} s"
                raise RequestRefused(503, "too_many_deliveries", f"{most}: send this one again later")
            self._seen[delivery] = now
