"""The registered versions for the dashboard, asked for in the background. Effects: HTTP to MLflow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol


class Versions(Protocol):
    """What the board asks of the registry."""

    def versions(self, limit: int = ...) -> list[dict[str, Any]]:
        """The newest versions."""


class VersionBoard:
    """Keeps the versions that MLflow told last; a page never waits for it.

    Args:
        registry: The registry of one model.
        clock: Seconds that only grow.
        every_s: How old the list may be before it is asked for again.
    """

    def __init__(self, registry: Versions, clock: Callable[[], float] = time.monotonic, every_s: float = 3.0) -> None:
        self._registry = registry
        self._clock = clock
        self._every_s = every_s
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._known: list[dict[str, Any]] = []

    def current(self) -> list[dict[str, Any]]:
        """The versions known now; a look at an old list starts a question whose answer the next look gets."""
        if self._clock() - self._asked_at > self._every_s and self._lock.acquire(blocking=False):
            self._asked_at = self._clock()
            threading.Thread(target=self._ask, name="versions", daemon=True).start()
        return self._known

    def _ask(self) -> None:
        try:
            self._known = self._registry.versions()
        except Exception:  # noqa: BLE001, S110 - MLflow's state is told by the champion's thread; the old list stays
            pass
        finally:
            self._lock.release()
