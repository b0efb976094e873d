"""The process in which scikit-learn predicts: `scorer` starts it and asks it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.errors import BadInput
from serving.models import child_process, prepared
from serving.models.child_process import told_of
from serving.models.predictor import by_sklearn
from serving.models.scorer import Copy

if TYPE_CHECKING:
    from ml.registry.loading import LoadedModel

_MOST_LOADED = 8


class Loaded:
    """The versions that are loaded in this process, those that were asked last."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[Copy, LoadedModel] = OrderedDict()

    def answer_to(self, asked: Mapping[str, Any], content: bytes) -> child_process.Answer:
        """Loads the version that a question names, and predicts the rows that came with it."""
        try:
            loaded = self._get(Copy(*(asked[name] for name in ("folder", "name", "version", "sha256"))))
            if "rows" not in asked:
                return {"loaded": loaded.version}, b""
            return {}, _predicted(loaded, asked, content)
        except Exception as error:  # noqa: BLE001 - the service tells of it
            return told_of(error), b""

    def _get(self, copy: Copy) -> LoadedModel:
        if copy not in self._loaded:
            while len(self._loaded) >= _MOST_LOADED:
                self._loaded.popitem(last=False)
            self._loaded[copy] = prepared.load(Path(copy.folder), copy.name, copy.sha256)
        self._loaded.move_to_end(copy)
        return self._loaded[copy]


def _predicted(loaded: LoadedModel, asked: Mapping[str, Any], content: bytes) -> bytes:
    rows = int(asked["rows"])
    table = np.frombuffer(content, "<f8").reshape(len(asked["numbers"]), rows)
    columns: dict[str, Any] = dict(zip(asked["numbers"], table, strict=True))
    try:
        found: bytes = by_sklearn(loaded, {**columns, **asked["texts"]}).astype("<f8").tobytes()
    except ValueError as error:
        raise BadInput(f"{loaded.name} version {loaded.version} cannot compute with this: {error}") from error
    return found


def main() -> None:
    """Serves the service that started this process."""
    child_process.stand_back()
    child_process.main(Loaded().answer_to)
