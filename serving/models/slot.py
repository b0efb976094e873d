"""The live version of one model: checked beside the old one, swapped at once. Effects: MLflow, one folder.

An answer takes the model once and works with that object, so no answer mixes two versions.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from ml.errors import Unavailable, Untrusted, one_line
from serving.models import prepared
from serving.models.cache import LiveModel, ModelCopy
from serving.models.predictor import Predictor
from serving.models.scorer import Scorer
from serving.upstream.registry import Champion, MlflowRegistry

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.7
_LONGEST_PAUSE_S = 10.0
_UNTRUSTED_PAUSE_S = 30.0


class ModelSlot:
    """Holds the live version of one model, and replaces it when the champion alias moved.

    Copies are kept in `state_dir`; `scorer` predicts what has no folded form.
    """

    def __init__(
        self,
        registry: MlflowRegistry,
        name: str,
        state_dir: Path,
        scorer: Scorer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._registry = registry
        self._scorer = scorer
        self._copy = ModelCopy(state_dir, name, scorer)
        self._clock = clock
        self._failed: tuple[str, str, str] | None = None
        self._failures = 0
        self._next_try_at = float("-inf")
        self.live: LiveModel | None = None
        self.champion: Champion | None = None
        self.error: str | None = None
        self._gone: str | None = None
        self.reloads = 0
        self.refusals = 0

    def restore(self) -> None:
        """Puts the copy on disk live: it serves while the rest comes up."""
        live = self._copy.restore()
        if live:
            self._put_live(live)

    def is_behind(self, champion: Champion | None) -> bool:
        """Notes where the champion alias points, and tells whether `load` is to be called now."""
        self.champion = champion
        if champion is None:
            self.error = "no version is champion any more: the last one is served" if self.live else self._gone
            return False
        self._gone = None
        if self._serves(champion):
            self.error, self._failed = None, None
            return False
        return self._failed != _identity(champion) or self._clock() >= self._next_try_at

    def _serves(self, champion: Champion) -> bool:
        """Whether a version is live, and its copy there for what is predicted elsewhere."""
        loaded = self.live.loaded if self.live else None
        # The number alone does not say which file it is: a model that is deleted and made anew begins at 1 again.
        is_it = loaded and (loaded.version, loaded.sha256, loaded.run_id) == _identity(champion)
        return bool(is_it and self._copy.has(*_identity(champion)))

    def follow(self, champion: Champion | None) -> None:
        """Loads the version that the champion alias points to, if it is another one than the live one."""
        if self.is_behind(champion) and champion is not None:
            self.load(champion)

    def load(self, champion: Champion) -> None:
        """Loads a version and puts it live; if that cannot be done, the one that serves goes on serving."""
        version, sha256, run_id = _identity(champion)
        try:
            with self._copy.alone(version, sha256, run_id):
                predictor = self._copy.find(version, sha256, run_id) or self._fetched(champion)
            live = LiveModel.now(predictor, self._metrics(predictor.loaded.run_id))
        except Exception as error:  # noqa: BLE001 - whatever it is, the version that serves goes on serving
            self._put_off(champion, error)
            return
        self._put_live(live)
        self.error, self._failed = None, None
        self.reloads += 1
        self._copy.mark(live)
        log.info("model=%s version=%s live", self.name, champion.version)

    def _put_live(self, live: LiveModel) -> None:
        self._scorer.keep_warm(self.name, wanted=live.predictor.form is None)
        self.live = live

    def forget(self) -> None:
        """Serves the model no more: MLflow has it no more."""
        self._copy.forget()
        self._scorer.keep_warm(self.name, wanted=False)
        self.live, self.champion = None, None
        self.error = self._gone = f"the registered model {self.name} was deleted in MLflow: train it anew"
        log.warning("model=%s deleted in MLflow, and served no more", self.name)

    def _fetched(self, champion: Champion) -> Predictor:
        with self._copy.new_folder() as folder:
            self._registry.fetch(self.name, champion.version, folder)
            self._copy.keep(folder, prepared.read(folder, self.name).loaded)
        return self._copy.read(*_identity(champion))

    def _put_off(self, champion: Champion, error: Exception) -> None:
        """Says why a version was not loaded, and when it is tried again: later each time, for fetching it costs."""
        identity = _identity(champion)
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


def _identity(champion: Champion) -> tuple[str, str, str]:
    return champion.version, champion.sha256 or "", champion.run_id
