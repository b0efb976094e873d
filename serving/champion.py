"""The live version of one model: checked beside the old one, swapped at once. Effects: MLflow, one folder.

An answer takes the model once and works with that object, so no answer mixes two versions.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ml.errors import Unavailable, Untrusted
from serving import opened
from serving.model_copy import LiveModel, ModelCopy, one_line
from serving.predictor import Predictor
from serving.registry_client import Champion

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.7
_LONGEST_PAUSE_S = 10.0
_UNTRUSTED_PAUSE_S = 30.0


class Registry(Protocol):
    """What the holder asks of the registry."""

    def fetch(self, name: str, version: str, folder: Path) -> None:
        """Downloads a version to an empty folder, checks it, and writes beside it how it predicts (`opened`)."""

    def metrics(self, run_id: str) -> dict[str, float]:
        """The metrics of the run that made a version."""


class ModelHolder:
    """Holds the live version of one model, and replaces it when the champion alias moved.

    Args:
        registry: The registry.
        name: The registered model.
        state_dir: The folder for the last verified copy.
        clock: Seconds that only grow.
    """

    def __init__(
        self, registry: Registry, name: str, state_dir: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._registry = registry
        self._copy = ModelCopy(state_dir, name)
        self._clock = clock
        self._failed: tuple[str, str] | None = None
        self._failures = 0
        self._next_try_at = float("-inf")
        self.live: LiveModel | None = None
        self.champion: Champion | None = None
        self.error: str | None = None
        self.reloads = 0
        self.refusals = 0

    def restore(self) -> None:
        """Puts the copy on disk live: it serves while the rest comes up."""
        self.live = self._copy.restore()

    def follow(self, champion: Champion | None) -> None:
        """Loads the version that the champion alias points to, if it is another one than the live one."""
        self.champion = champion
        live = self.live.loaded if self.live else None
        if champion is None:
            self.error = "no version is champion any more: the last one is served" if live else None
        # The number alone does not say which file it is: a version that was deleted leaves its number to the next one.
        elif live and (live.version, live.sha256) == (champion.version, champion.sha256):
            self.error, self._failed = None, None
        elif self._failed != (champion.version, champion.sha256) or self._clock() >= self._next_try_at:
            self._load(champion)

    def _load(self, champion: Champion) -> None:
        try:
            predictor = self._copy.find(champion.version, champion.sha256) or self._fetched(champion.version)
            live = LiveModel.now(predictor, self._metrics(predictor.loaded.run_id))
        except Exception as error:  # noqa: BLE001 - whatever it is, the version that serves goes on serving
            self._put_off(champion, error)
            return
        self.live = live
        self.error, self._failed = None, None
        self.reloads += 1
        self._copy.mark(live)
        log.info("model=%s version=%s live", self.name, champion.version)

    def _fetched(self, version: str) -> Predictor:
        with self._copy.new_folder() as folder:
            self._registry.fetch(self.name, version, folder)
            found = opened.read(folder, self.name)
            self._copy.keep(folder, found.loaded)
            return found

    def _put_off(self, champion: Champion, error: Exception) -> None:
        """Says why a version was not loaded, and when it is tried again: later each time, for fetching it costs."""
        identity = (champion.version, champion.sha256)
        self._failures = self._failures + 1 if self._failed == identity else 1
        self._failed = identity
        pause_s = min(_FIRST_PAUSE_S * (2 ** min(self._failures - 1, 9) - 1), _LONGEST_PAUSE_S)
        # Such a file will not get better by itself.
        self._next_try_at = self._clock() + (_UNTRUSTED_PAUSE_S if isinstance(error, Untrusted) else pause_s)
        self.refusals += 1
        self.error = f"version {champion.version} was not loaded: {one_line(error)}"
        log.warning("model=%s version=%s refused error=%s", self.name, champion.version, one_line(error))

    def _metrics(self, run_id: str) -> dict[str, float]:
        try:
            return self._registry.metrics(run_id)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - numbers to show: a model serves without them
            log.warning("model=%s run=%s metrics unknown error=%s", self.name, run_id, one_line(error))
            return {}
