"""The last verified copy of the live model on disk, for a start while everything else is down. Effects: one folder."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ml.errors import Untrusted
from ml.load import EXAMPLE_TAG, LoadedModel, frame_of, load_folder
from serving.predictor import Predictor

log = logging.getLogger(__name__)

_FACTS = "trackyard.json"
_LOADING = "loading-"
_LOADING_S = 600.0
# The last digits may come from another machine's arithmetic.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class LiveModel:
    """A version that answers, and what is told of it.

    Attributes:
        loaded: The version.
        predictor: It, ready to predict.
        metrics: Of its run.
        loaded_at: When it went live, as ISO 8601 in UTC.
        from_disk: Whether it came from the copy on disk.
    """

    loaded: LoadedModel
    predictor: Predictor
    metrics: Mapping[str, float]
    loaded_at: str
    from_disk: bool = False

    @property
    def loaded_unix(self) -> float:
        """When it went live, in seconds since 1970."""
        return datetime.fromisoformat(self.loaded_at).timestamp()

    @classmethod
    def now(cls, loaded: LoadedModel, metrics: Mapping[str, float], *, from_disk: bool = False) -> LiveModel:
        """A version that goes live at this moment."""
        return cls(loaded, Predictor.of(loaded), metrics, datetime.now(UTC).isoformat(timespec="seconds"), from_disk)


class ModelCopy:
    """Keeps one verified copy of a model's live version.

    Args:
        folder: Where it is; made when first needed.
        name: The registered model.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """An empty folder beside the copy; what is still in it afterwards goes."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Path(mkdtemp(prefix=_LOADING, dir=self._folder))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def keep(self, folder: Path, live: LiveModel) -> None:
        """Makes the checked files of a folder the copy, in place of the one before; a full disk costs only that."""
        loaded = live.loaded
        facts = {
            "name": loaded.name,
            "version": loaded.version,
            "run_id": loaded.run_id,
            "tags": dict(loaded.tags),
            "metrics": dict(live.metrics),
        }
        final = self._folder / f"{self._name}-v{loaded.version}"
        with suppress(OSError):
            (folder / _FACTS).write_text(json.dumps(facts))
            shutil.rmtree(final, ignore_errors=True)
            folder.rename(final)
            for other in self._folder.iterdir():
                if other != final and (_is_left_over(other) or _version(other, self._name)):
                    shutil.rmtree(other, ignore_errors=True)

    def restore(self) -> LiveModel | None:
        """The copy, checked against the sha256 that its version carried; None where there is none that can be used."""
        with suppress(OSError):
            found = {folder: _version(folder, self._name) for folder in self._folder.iterdir()}
            for folder in sorted((folder for folder in found if found[folder]), key=lambda each: -found[each]):
                try:
                    live = _read(folder, self._name)
                except Exception as error:  # noqa: BLE001 - a damaged copy is passed over; the registry has the original
                    log.warning("copy=%s not used error=%s", folder, one_line(error))
                    continue
                log.info("model=%s version=%s live from the copy on disk", self._name, live.loaded.version)
                return live
        return None


def smoke_test(loaded: LoadedModel) -> None:
    """Lets a model predict its own input example.

    Raises:
        Untrusted: It does not give one probability from 0 to 1 for each row, or not those that its version recorded.
    """
    rows = loaded.input_example
    if not rows or not loaded.inputs:
        raise Untrusted(f"{loaded.name} version {loaded.version} has no signature or input example")
    found = loaded.pipeline.predict_proba(frame_of(loaded, rows))
    if found.shape != (len(rows), 2) or not ((found >= 0) & (found <= 1)).all():
        raise Untrusted(f"{loaded.name} version {loaded.version} does not predict its own input example")
    recorded = loaded.tags.get(EXAMPLE_TAG)
    # Versions from before the probabilities were recorded have their sha256 alone.
    if recorded is not None and not _agree(recorded, found[:, 1].tolist()):
        raise Untrusted(f"{loaded.name} version {loaded.version} predicts its input example otherwise than recorded")


def _agree(recorded: str, found: list[float]) -> bool:
    try:
        expected = [float(one) for one in json.loads(recorded)]
    except (ValueError, TypeError):
        return False
    return len(expected) == len(found) and all(
        abs(one - other) <= _TOLERANCE for one, other in zip(expected, found, strict=True)
    )


def one_line(error: BaseException) -> str:
    """What an error says, on one line of at most 500 characters."""
    return " ".join(str(error).split())[:500] or type(error).__name__


def _is_left_over(folder: Path) -> bool:
    """Whether a folder is of a load that was broken off; a young one may be another worker's, which loads now."""
    return folder.name.startswith(_LOADING) and time.time() - folder.stat().st_mtime > _LOADING_S


def models_kept(folder: Path) -> list[str]:
    """The names of the models whose copies are in a folder."""
    found: set[str] = set()
    with suppress(OSError):
        for each in folder.iterdir():
            name, _, number = each.name.rpartition("-v")
            if name and number.isdecimal() and (each / _FACTS).is_file():
                found.add(name)
    return sorted(found)


def _version(folder: Path, name: str) -> int:
    """The version whose copy a folder is, 0 where it is none of that model."""
    number = folder.name.removeprefix(f"{name}-v")
    return int(number) if number != folder.name and number.isdecimal() else 0


def _read(folder: Path, name: str) -> LiveModel:
    facts: dict[str, Any] = json.loads((folder / _FACTS).read_text())
    if facts["name"] != name:
        raise Untrusted(f"it is of {facts['name']}, not of {name}")
    version, run_id, tags = facts["version"], facts["run_id"], facts["tags"]
    loaded = load_folder(folder, name=name, version=version, run_id=run_id, tags=tags)
    smoke_test(loaded)
    return LiveModel.now(loaded, facts["metrics"], from_disk=True)
