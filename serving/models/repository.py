"""Every registered model that has a champion, each with its live version. Effects: MLflow, one folder.

One question a tick tells the aliases of all models; only what changed is asked for further, the main model's first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ml.errors import one_line
from serving.models.cache import models_kept
from serving.models.scorer import Scorer
from serving.models.slot import ModelSlot
from serving.upstream.registry import Champion, MlflowRegistry

log = logging.getLogger(__name__)

POLL_S = 1.1
"""The seconds between two questions to MLflow: less than one a second while nothing changes."""
_VERSIONS_EVERY_S = 60.0
_VERSIONS_EACH_S = 3.0
_SETTLED_AFTER_S = 3.0


class ModelRepository:
    """Holds the live versions, and replaces each when its champion alias moves.

    `main` is the model that `/predict` and the pages are about, there whether or not the registry knows it; `state_dir`
    is for the last verified copies. `aside` runs what must not delay the next look at the aliases; at once, unless
    somebody gives threads for it.
    """

    def __init__(
        self,
        registry: MlflowRegistry,
        main: str,
        state_dir: Path,
        clock: Callable[[], float] = time.monotonic,
        aside: Callable[[Callable[[], None]], object] = lambda job: job(),
    ) -> None:
        self._registry = registry
        self._state_dir = state_dir
        self._clock = clock
        self._aside = aside
        self._busy: set[str] = set()
        # The main model's own: no other model's end or slowness is noticed there.
        self._scorers = (Scorer(), Scorer())
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._is_restored = False
        self._due: dict[str, float] = {}
        self._aliases: dict[str, Champion | None] = {}
        self.wake = threading.Event()
        self.main = ModelSlot(registry, main, state_dir, self._scorers[0], clock)
        self.slots: dict[str, ModelSlot] = {main: self.main}
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
                self._restore()
            try:
                self._ask()
            except Exception as error:  # noqa: BLE001 - a refresher: whatever fails is reported, and the old one serves
                self.upstream_error = one_line(error)
                return
            self.upstream_error, self._asked_at = None, self._clock()

    def _restore(self) -> None:
        self.main.restore()
        for name in models_kept(self._state_dir):
            if name != self.main.name:
                self._run_aside(name, self._slot(name).restore)

    def _ask(self) -> None:
        champions = self._registry.champions()
        self._let_go(self.slots.keys() - champions.keys())
        main = self.main.name
        try:
            # The main model at once and first; whatever the others take, they keep it waiting neither now nor later.
            self._look(main, champions.get(main))
        finally:
            self._look_at_others({name: champion for name, champion in champions.items() if name != main})

    def _look_at_others(self, champions: Mapping[str, Champion | None]) -> None:
        for name in sorted(champions):
            if champions[name] is not None or name in self.slots:
                self._look_aside(name, champions[name])
            elif name not in self._aliases:
                self._note(name, None)
        overdue = self._overdue()
        if overdue is not None:
            self._run_aside(f"versions {overdue}", lambda: self._ask_versions(overdue))

    def _let_go(self, names: Iterable[str]) -> None:
        """Serves models no more that are not in the registry, if it says so once more when asked by their names."""
        for name in names:
            slot = self.slots[name]
            if (slot.live or slot is not self.main) and self._registry.is_gone(name):
                slot.forget()
                self.slots = {key: one for key, one in self.slots.items() if one is self.main or key != name}
                self.versions.pop(name, None)
                self._aliases.pop(name, None)
                self._due.pop(name, None)

    def _look(self, name: str, champion: Champion | None) -> None:
        if champion is not None and champion.sha256 is None:
            champion = self._registry.complete(name, champion)
        self._slot(name).follow(champion)
        if name not in self._aliases or self._aliases[name] != champion:
            if name == self.main.name:
                self._ask_versions(name)
            self._note(name, champion)

    def _look_aside(self, name: str, champion: Champion | None) -> None:
        if name in self._busy:
            return
        slot = self._slot(name)
        is_unknown = champion is None or champion.sha256 is None
        if is_unknown or slot.is_behind(champion) or self._aliases.get(name) != champion:
            self._run_aside(name, lambda: self._look(name, champion))

    def _note(self, name: str, champion: Champion | None) -> None:
        """Remembers where an alias points now, and asks for the versions when what is written beside it is there."""
        self._aliases[name] = champion
        self._due[name] = self._clock() + (_SETTLED_AFTER_S if name in self.versions else 0.0)

    def _run_aside(self, what: str, job: Callable[[], None]) -> None:
        """Runs a job of one model, unless the last one of that name still runs; what goes wrong is that model's."""
        if what in self._busy:
            return
        self._busy.add(what)

        def run() -> None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - it is tried again, and no other model's concern
                log.warning("job=%s error=%s", what, one_line(error))
            finally:
                self._busy.discard(what)

        self._aside(run)

    def _ask_versions(self, name: str) -> None:
        self.versions[name] = self._registry.versions(name)

    def _overdue(self) -> str | None:
        """A model whose versions should be asked for again, one at a time, and the more models the more seldom."""
        now = self._clock()
        name = min((name for name, at in self._due.items() if now >= at), key=self._due.__getitem__, default=None)
        if name is not None:
            others = 0.0 if name == self.main.name else _VERSIONS_EACH_S * len(self._due)
            self._due[name] = now + max(_VERSIONS_EVERY_S, others)
        return name

    def _slot(self, name: str) -> ModelSlot:
        if name not in self.slots:
            # A new dictionary, since requests read the old one meanwhile.
            slot = ModelSlot(self._registry, name, self._state_dir, self._scorers[1], self._clock)
            self.slots = {**self.slots, name: slot}
        return self.slots[name]

    def wait(self, stop: threading.Event) -> None:
        """Waits for the next tick, or for a webhook that says that something moved."""
        if not stop.is_set():
            self.wake.wait(POLL_S)
            self.wake.clear()
