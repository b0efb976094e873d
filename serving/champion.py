"""The live model: polled by its alias, checked beside the old one, swapped at once. Effects: MLflow, one folder.

An answer takes the model once and works with that object, so no answer mixes two versions.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Protocol

from ml.errors import Untrusted
from ml.load import LoadedModel, load_folder

log = logging.getLogger(__name__)

POLL_S = 0.7
_FACTS = "trackyard.json"


class Registry(Protocol):
    """What the holder asks of the registry."""

    def aliases(self) -> dict[str, str]:
        """Every alias of the model and its version."""

    def fetch(self, version: str, folder: Path) -> LoadedModel:
        """Downloads a version to an empty folder, checks it and loads it."""

    def metrics(self, run_id: str) -> dict[str, float]:
        """The metrics of the run that made a version."""


@dataclass(frozen=True)
class LiveModel:
    """A loaded version and what is told of it."""

    loaded: LoadedModel
    loaded_at: str
    metrics: Mapping[str, float]
    from_disk: bool = False


class ModelHolder:
    """Holds the live version, and replaces it when the champion alias moves.

    Args:
        registry: The registry of one model.
        name: The registered model.
        state_dir: The folder for the last verified copy.
        clock: Seconds that only grow.
    """

    def __init__(
        self, registry: Registry, name: str, state_dir: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._registry = registry
        self._state_dir = state_dir
        self._clock = clock
        self._lock = threading.Lock()
        self.live: LiveModel | None = None
        self.aliases: dict[str, str] = {}
        self.error: str | None = None
        self.upstream_error: str | None = "it was not asked yet"
        self._asked_at: float | None = None
        self._refused: str | None = None
        self._refused_at = float("-inf")
        self.reloads = 0
        self.refusals = 0

    @property
    def age_s(self) -> float | None:
        """The seconds since MLflow last answered, None before it ever did."""
        return None if self._asked_at is None else self._clock() - self._asked_at

    def refresh(self) -> None:
        """Asks once where the champion alias points, and loads that version if it is another one."""
        with self._lock:
            try:
                self.aliases = self._registry.aliases()
            except Exception as error:  # noqa: BLE001 - a refresher: whatever fails is reported, and the old one serves
                self.upstream_error = _one_line(error)
                if self.live is None:
                    self._restore()
                return
            self.upstream_error, self._asked_at = None, self._clock()
            wanted = self.aliases.get("champion")
            if wanted is None:
                self.error = None if self.live is None else "no version is champion any more: the last one is served"
            elif self.live is None or self.live.loaded.version != wanted:
                self._load(wanted)
            else:
                self.error = None

    def _load(self, version: str) -> None:
        if self._refused == version and self._clock() - self._refused_at < 30:
            return
        folder = self._new_folder()
        try:
            loaded = self._registry.fetch(version, folder)
            smoke_test(loaded)
            live = LiveModel(loaded, _now(), self._registry.metrics(loaded.run_id))
        except Exception as error:  # noqa: BLE001 - as above: the version that serves goes on serving
            shutil.rmtree(folder, ignore_errors=True)
            self.refusals += 1
            if isinstance(error, Untrusted):
                # The file will not get better by itself, and fetching it every second would only cost.
                self._refused, self._refused_at = version, self._clock()
            self.error = f"version {version} was not loaded: {_one_line(error)}"
            log.warning("model=%s version=%s refused error=%s", self.name, version, _one_line(error))
            return
        self.live, self.error, self._refused = live, None, None
        self.reloads += 1
        log.info("model=%s version=%s live", self.name, version)
        self._keep(folder, live)

    def _new_folder(self) -> Path:
        self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(mkdtemp(prefix="loading-", dir=self._state_dir))

    def _keep(self, folder: Path, live: LiveModel) -> None:
        """Keeps the checked files for a start while everything else is down; a full disk costs only that."""
        loaded = live.loaded
        facts = {
            "name": loaded.name,
            "version": loaded.version,
            "run_id": loaded.run_id,
            "tags": dict(loaded.tags),
            "metrics": dict(live.metrics),
        }
        final = self._state_dir / f"{self.name}-v{loaded.version}"
        with suppress(OSError):
            (folder / _FACTS).write_text(json.dumps(facts))
            shutil.rmtree(final, ignore_errors=True)
            folder.rename(final)
            for other in self._state_dir.iterdir():
                if other != final and other.name.startswith((f"{self.name}-v", "loading-")):
                    shutil.rmtree(other, ignore_errors=True)

    def _restore(self) -> None:
        for folder in sorted(self._state_dir.glob(f"{self.name}-v*")):
            try:
                facts: dict[str, Any] = json.loads((folder / _FACTS).read_text())
                loaded = load_folder(
                    folder,
                    name=facts["name"], version=facts["version"], run_id=facts["run_id"], tags=facts["tags"],
                )  # fmt: skip
                smoke_test(loaded)
            except Exception as error:  # noqa: BLE001 - a damaged copy is passed over; the registry has the original
                log.warning("copy=%s not used error=%s", folder, _one_line(error))
                continue
            self.live = LiveModel(loaded, _now(), facts["metrics"], from_disk=True)
            log.info("model=%s version=%s live from the copy on disk", self.name, loaded.version)


def smoke_test(loaded: LoadedModel) -> None:
    """Lets a model predict its own input example.

    Raises:
        Untrusted: It does not give one probability from 0 to 1 for each row.
    """
    from ml.load import frame_of

    rows = loaded.input_example
    if not rows or not loaded.inputs:
        raise Untrusted(f"{loaded.name} version {loaded.version} has no signature or input example")
    found = loaded.pipeline.predict_proba(frame_of(loaded, rows))
    if found.shape != (len(rows), 2) or not ((found >= 0) & (found <= 1)).all():
        raise Untrusted(f"{loaded.name} version {loaded.version} does not predict its own input example")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
