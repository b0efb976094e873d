"""Every registered model that has a champion, each with its live version. Effects: MLflow, one folder.

One question a tick tells the aliases of all models; only what changed is asked for further.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from serving.champion import ModelHolder
from serving.champion import Registry as HolderRegistry
from serving.model_copy import models_kept, one_line
from serving.registry_client import Champion

log = logging.getLogger(__name__)

POLL_S = 1.1
"""The seconds between two questions to MLflow: less than one a second while nothing changes."""
_VERSIONS_EVERY_S = 60.0
_SETTLED_AFTER_S = 3.0


class Registry(HolderRegistry, Protocol):
    """What the shelf asks of the registry."""

    def champions(self) -> dict[str, Champion | None]:
        """Every registered model and where its champion alias points; None where it points nowhere."""

    def versions(self, name: str, limit: int = ...) -> list[dict[str, Any]]:
        """The newest versions of a model."""


class ModelShelf:
    """Holds the live versions, and replaces each when its champion alias moves.

    Args:
        registry: The registry.
        main: The model that `/predict` and the pages are about; it is there whether or not the registry knows it.
        state_dir: The folder for the last verified copies.
        clock: Seconds that only grow.
        pause: Called between two questions of one tick; waits where one a second is the most.
    """

    def __init__(
        self,
        registry: Registry,
        main: str,
        state_dir: Path,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._registry = registry
        self._state_dir = state_dir
        self._clock = clock
        self._pause = pause
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._is_restored = False
        self._due: dict[str, float] = {}
        self._aliases: dict[str, Champion | None] = {}
        self.wake = threading.Event()
        self.main = ModelHolder(registry, main, state_dir, clock)
        self.holders: dict[str, ModelHolder] = {main: self.main}
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self.upstream_error: str | None = "it was not asked yet"

    @property
    def age_s(self) -> float | None:
        """The seconds since MLflow last answered, None before it ever did."""
        return None if self._asked_at is None else self._clock() - self._asked_at

    def refresh(self) -> None:
        """Asks once where the champion aliases point, and loads what is new; what MLflow said before stays otherwise.

        The first time, the copies on disk go live before anything is asked.
        """
        with self._lock:
            if not self._is_restored:
                self._is_restored = True
                for name in dict.fromkeys([self.main.name, *models_kept(self._state_dir)]):
                    self._holder(name).restore()
            try:
                self._ask()
            except Exception as error:  # noqa: BLE001 - a refresher: whatever fails is reported, and the old one serves
                self.upstream_error = one_line(error)
                return
            self.upstream_error, self._asked_at = None, self._clock()

    def _ask(self) -> None:
        found = self._registry.champions()
        # The main model first: others must not keep it waiting.
        for each in sorted({*found, *self.holders}, key=lambda each: each != self.main.name):
            champion = found.get(each)
            if champion is not None or each in self.holders:
                self._holder(each).follow(champion)
            if each in found and (each not in self._aliases or self._aliases[each] != champion):
                # At once for the page, and once more when what is written beside an alias will be there too.
                self.versions[each] = self._registry.versions(each)
                self._due[each] = self._clock() + _SETTLED_AFTER_S
        self._aliases = found
        overdue = self._overdue()
        if overdue is not None:
            self._pause()
            self.versions[overdue] = self._registry.versions(overdue)

    def _overdue(self) -> str | None:
        """A model whose versions should be asked for again; seldom, since that delays the next look at the aliases."""
        now = self._clock()
        name = next((name for name, at in self._due.items() if now >= at), None)
        if name is not None:
            self._due[name] = now + _VERSIONS_EVERY_S
        return name

    def _holder(self, name: str) -> ModelHolder:
        if name not in self.holders:
            # A new dictionary, since requests read the old one meanwhile.
            holder = ModelHolder(self._registry, name, self._state_dir, self._clock)
            self.holders = {**self.holders, name: holder}
        return self.holders[name]

    def wait(self, stop: threading.Event) -> None:
        """Waits for the next tick, or for a webhook that says that something moved."""
        if not stop.is_set():
            self.wake.wait(POLL_S)
            self.wake.clear()
