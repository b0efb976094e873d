"""Checked versions of a model on disk, and which of them is live: for a start while everything else is down.

Effects: one folder, which several processes may share.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp, mkstemp
from typing import Any

from ml.errors import Untrusted, one_line
from ml.registry.loading import LoadedModel
from serving.models import prepared
from serving.models.predictor import Predictor
from serving.models.scorer import Scorer

log = logging.getLogger(__name__)

_LIVE = ".live"
_LOADING = "loading-"
_LOADING_S = 600.0
_GETTING_S = 5.0
_getting: dict[Path, threading.Lock] = {}
_KEPT = 25


@dataclass(frozen=True)
class LiveModel:
    """A version that answers, and what is told of it.

    Attributes:
        predictor: The version, ready to predict.
        metrics: Of its run.
        loaded_at: When it went live, as ISO 8601 in UTC.
        from_disk: Whether it came from the copy on disk.
    """

    predictor: Predictor
    metrics: Mapping[str, float]
    loaded_at: str
    from_disk: bool = False

    @property
    def loaded(self) -> LoadedModel:
        """The version."""
        return self.predictor.loaded

    @property
    def loaded_unix(self) -> float:
        """When it went live, in seconds since 1970."""
        return datetime.fromisoformat(self.loaded_at).timestamp()

    @classmethod
    def now(cls, predictor: Predictor, metrics: Mapping[str, float], *, from_disk: bool = False) -> LiveModel:
        """A version that goes live at this moment."""
        return cls(predictor, metrics, datetime.now(UTC).isoformat(timespec="seconds"), from_disk)


class ModelCopy:
    """Keeps checked versions of a model in a folder, which is made when first needed, and remembers which one is live.

    `scorer` predicts what has no folded form; None for whoever only keeps copies.
    """

    def __init__(self, folder: Path, name: str, scorer: Scorer | None = None) -> None:
        self._folder = folder
        self._name = name
        self._stem = _stem(name)
        self._scorer = scorer

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """An empty folder beside the copies; what is still in it afterwards goes."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(mkdtemp(prefix=_LOADING, dir=self._folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def alone(self, version: str, sha256: str, run_id: str) -> Iterator[None]:
        """Lets one thread at a time get this version, for so long as is worth it: who comes next finds its copy."""
        lock = _getting.setdefault(self._path(version, sha256, run_id), threading.Lock())
        has_it = lock.acquire(timeout=_GETTING_S)
        try:
            yield
        finally:
            if has_it:
                lock.release()

    def keep(self, folder: Path, loaded: LoadedModel) -> None:
        """Makes the checked files of a folder a copy; OSError where the disk does not take it."""
        final = self._path(loaded.version, loaded.sha256, loaded.run_id)
        # What is there under this name has the same files, or was damaged.
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)

    def read(self, version: str, sha256: str, run_id: str = "") -> Predictor:
        """The copy of a version with that file, of that run, checked again and ready to predict.

        Raises:
            Untrusted: There is none, or it was changed.
            Unavailable: The process that predicts with it does not answer.
        """
        predictor = prepared.read(self._path(version, sha256, run_id), self._name, self._scorer)
        loaded = predictor.loaded
        if (loaded.version, loaded.sha256, loaded.run_id) != (version, sha256, run_id):
            raise Untrusted(f"{self._name}: the copy of version {version} is of another version")
        return predictor

    def find(self, version: str, sha256: str, run_id: str = "") -> Predictor | None:
        """As `read`; None where there is none that can be used."""
        path = self._path(version, sha256, run_id)
        try:
            predictor = self.read(version, sha256, run_id)
            os.utime(path)
        except Exception as error:  # noqa: BLE001 - a damaged copy is passed over; the registry has the original
            if path.exists():
                log.warning("copy=%s not used error=%s", path, one_line(error))
            return None
        return predictor

    def has(self, version: str, sha256: str, run_id: str = "") -> bool:
        """Whether there is a copy of a version with that file, of that run."""
        return self._path(version, sha256, run_id).exists()

    def forget(self) -> None:
        """Lets no later start take a version from here for the live one."""
        self._mark.unlink(missing_ok=True)

    def mark(self, live: LiveModel) -> None:
        """Remembers which version is live, and lets go of the copies that were not used for longest."""
        loaded = live.loaded
        mark = {
            "name": self._name, "version": loaded.version, "sha256": loaded.sha256, "run_id": loaded.run_id,
            "metrics": dict(live.metrics),
        }  # fmt: skip
        with suppress(OSError):
            handle, path = mkstemp(prefix=_LOADING, dir=self._folder)
            with os.fdopen(handle, "w") as file:
                json.dump(mark, file)
            # In one step, since another process may be reading it.
            Path(path).replace(self._mark)
            self._tidy(self._path(loaded.version, loaded.sha256, loaded.run_id))

    def _tidy(self, live: Path) -> None:
        mine = [each for each in self._folder.iterdir() if self._is_mine(each) and each != live]
        mine.sort(key=lambda each: each.stat().st_mtime, reverse=True)
        for each in [*mine[_KEPT - 1 :], *filter(_is_left_over, self._folder.iterdir())]:
            if each.is_dir():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)

    def restore(self) -> LiveModel | None:
        """The version that was live last, checked again; None where there is none that can be used."""
        try:
            mark: dict[str, Any] = json.loads(self._mark.read_text())
            predictor = self.find(str(mark["version"]), str(mark["sha256"]), str(mark["run_id"]))
            metrics = {str(name): float(value) for name, value in dict(mark["metrics"]).items()}
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("copy=%s not used error=%s", self._mark, one_line(error))
            return None
        if predictor is None:
            return None
        log.info("model=%s version=%s live from the copy on disk", self._name, predictor.loaded.version)
        return LiveModel.now(predictor, metrics, from_disk=True)

    @property
    def _mark(self) -> Path:
        return self._folder / f"{self._stem}{_LIVE}"

    def _path(self, version: str, sha256: str, run_id: str) -> Path:
        return self._folder / f"{self._stem}-v{version}-{_digest(f'{sha256} {run_id}')[:12]}"

    def _is_mine(self, path: Path) -> bool:
        """Whether a folder is a copy of this model; another one's name may begin alike."""
        rest = path.name.removeprefix(f"{self._stem}-v")
        return rest != path.name and re.fullmatch(r"\d+-[0-9a-f]{12}", rest) is not None


def _stem(name: str) -> str:
    """How a model's files are called: as the model, unless that is no name for a file, or taken for something else."""
    if re.fullmatch(r"(?!\.|loading-|model-[0-9a-f]{16}$)[A-Za-z0-9 ._@+-]{1,100}", name):
        return name
    return f"model-{_digest(name)[:16]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _is_left_over(path: Path) -> bool:
    """Whether something is of a load that was broken off; a young one may be another process's, which loads now."""
    return path.name.startswith(_LOADING) and time.time() - path.stat().st_mtime > _LOADING_S


def models_kept(folder: Path) -> list[str]:
    """The names of the models that were live last."""
    names: list[str] = []
    for path in folder.glob(f"*{_LIVE}"):
        # One that cannot be read has nothing to restore either.
        with suppress(OSError, ValueError, KeyError, TypeError):
            names.append(str(json.loads(path.read_text())["name"]))
    return sorted(names)
