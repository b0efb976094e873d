"""The process in which scikit-learn predicts: `scorer` starts it and asks it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.errors import BadInput
from serving.models import child_process, prepared
from serving.models.predictor import by_sklearn
from serving.models.scorer import Copy

if TYPE_CHECKING:
    from ml.registry.loading import LoadedModel


def answer_to(asked: Mapping[str, Any], content: bytes) -> child_process.Answer:
    """Loads the version that a question names, and predicts the rows that came with it."""
    loaded = loaded_of(Copy(*(asked[name] for name in ("folder", "name", "version", "sha256"))))
    if "rows" not in asked:
        return {"loaded": loaded.version}, b""
    return {}, _predicted(loaded, asked, content)


@lru_cache(maxsize=7)
def loaded_of(copy: Copy) -> LoadedModel:
    """The version of a copy; those that were asked for last stay loaded, so with the one that is being loaded eight."""
    return prepared.load(Path(copy.folder), copy.name, copy.sha256)


def _predicted(loaded: LoadedModel, asked: Mapping[str, Any], content: bytes) -> bytes:
    rows = int(asked["rows"])
    table = np.frombuffer(content, "<f8").reshape(len(asked["numbers"]), rows)
    columns: dict[str, Any] = dict(zip(asked["numbers"], table, strict=True))
    try:
        probability = by_sklearn(loaded, {**columns, **asked["texts"]})
    except ValueError as error:
        raise BadInput(f"{loaded.name} version {loaded.version} cannot compute with this: {error}") from error
    return probability.astype("<f8").tobytes()


def main() -> None:
    """Serves the service that started this process."""
    child_process.stand_back()
    child_process.main(answer_to)
