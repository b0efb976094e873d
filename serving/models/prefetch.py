"""Fetches and checks versions before anybody promotes them, so that a promotion need not wait. Effects: as `loader`."""

from __future__ import annotations

import logging
from itertools import islice
from pathlib import Path

from ml.errors import one_line
from serving.models import prepared
from serving.models.cache import ModelCopy
from serving.upstream.registry import Candidate, MlflowRegistry

log = logging.getLogger(__name__)

_PER_MODEL = 20
_MOST_BYTES = 5 * 2**20
"""Files larger than this are fetched only when they are promoted."""


class Prefetcher:
    """Makes copies of the newest versions of every model, one after the other."""

    def __init__(self, registry: MlflowRegistry, state_dir: Path) -> None:
        self._registry = registry
        self._state_dir = state_dir
        self._tried: set[Candidate] = set()

    def fetch_one(self) -> None:
        """Makes a copy of the newest version that has none yet, if there is one.

        A version that cannot be fetched or is refused is left alone: it is told of when somebody promotes it.
        """
        wanted = next((each for each in self._newest() if each not in self._tried), None)
        if wanted is None:
            return
        self._tried.add(wanted)
        copy = ModelCopy(self._state_dir, wanted.name)
        identity = (wanted.version, wanted.sha256, wanted.run_id)
        try:
            with copy.alone(*identity):
                if copy.has(*identity):
                    return
                with copy.new_folder() as folder:
                    self._registry.fetch_ahead(wanted.name, wanted.version, folder, _MOST_BYTES)
                    copy.keep(folder, prepared.read(folder, wanted.name).loaded)
        except Exception as error:  # noqa: BLE001 - nobody asked for it yet
            log.info("model=%s version=%s not fetched ahead: %s", wanted.name, wanted.version, one_line(error))

    def _newest(self) -> list[Candidate]:
        by_name: dict[str, list[Candidate]] = {}
        for each in self._registry.candidates():
            by_name.setdefault(each.name, []).append(each)
        return [each for mine in by_name.values() for each in islice(mine, _PER_MODEL)]
