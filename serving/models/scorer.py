"""Predicts by scikit-learn, in a process of its own. Effects: that process.

The service predicts by itself what is one matrix product. All else, versions that are not linear and numbers so far
out that rounding would show, is predicted here, from the checked copies on disk; so the service holds neither
scikit-learn nor pandas, and a model that brings its process down takes nothing else with it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.errors import BadInput, Unavailable
from serving.models import child_process
from serving.models.child_process import Child, Ended, TooSlow, raise_told, told_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml.registry.loading import LoadedModel

_IDLE_S = 60.0
_PATIENCE_S = 60.0
_TRIES = 2
_MOST_LOADED = 8


@dataclass(frozen=True)
class Copy:
    """A checked copy of a version: its folder, its model and number, and the sha256 of its file."""

    folder: str
    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


class Scorer:
    """Starts the process when it is needed, and lets it predict; one object may be shared by threads.

    Args:
        idle_s: How many seconds the process waits for more before it ends; one that was kept warm stays.
        patience_s: How many seconds an answer may take.
    """

    def __init__(self, idle_s: float = _IDLE_S, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._warm: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._child = Child("serving.models.scorer", idle_s, lambda: bool(self._warm))

    def load(self, copy: Copy) -> None:
        """Loads a version, so that nobody's first request waits for it.

        Raises:
            Untrusted: The copy is not what was checked, or is none of our Pipelines.
            Unavailable: The process does not survive it, or does not answer in time.
        """
        self._ask(copy, {}, [])

    def keep_warm(self, name: str, *, wanted: bool) -> None:
        """Lets the process stay for a model, even if it is asked nothing for long, or no longer."""
        with self._lock:
            self._warm = self._warm | {name} if wanted else self._warm - {name}

    def probability(self, copy: Copy, columns: Mapping[str, Any], kinds: Mapping[str, str]) -> NDArray[np.float64]:
        """The probability of the positive class for each row, shape (n_rows,); blocks until it is there.

        Args:
            copy: The version.
            columns: Its columns: numbers as float64 with NaN for missing, texts as lists with None.
            kinds: Its columns' MLflow types, in order.

        Raises:
            Untrusted: The copy is not what was checked any more.
            Unavailable: The process ended twice over the question, or does not answer in time.
            BadInput: The model cannot compute with these rows, in scikit-learn's words.
        """
        numbers = {name: np.ascontiguousarray(columns[name], "<f8") for name in kinds if kinds[name] != "string"}
        texts = {name: list(map(_text, columns[name])) for name in kinds if kinds[name] == "string"}
        asked = {"rows": len(next(iter(columns.values()))), "numbers": list(numbers), "texts": texts}
        content = self._ask(copy, asked, [column.data for column in numbers.values()])
        return np.frombuffer(content, "<f8")

    def close(self) -> None:
        """Ends the process."""
        self._child.close()

    def _ask(self, copy: Copy, asked: Mapping[str, Any], content: list[memoryview]) -> bytes:
        ends: list[str] = []
        while len(ends) < _TRIES:
            try:
                answer, found = self._child.ask({**asdict(copy), **asked}, self._patience_s, content)
            except Ended as error:
                ends.append(str(error))
                continue
            except TooSlow as error:
                raise Unavailable(f"{copy} did not predict {error}: ask again later, or for fewer rows") from None
            raise_told(answer)
            return found
        raise Unavailable(
            f"{copy} cannot predict this: its process ended {_TRIES} times ({', '.join(ends)}); "
            "the service's log has its last words"
        )


def _text(value: Any) -> str | None:
    return None if value is None or value != value else str(value)


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
        from serving.models import prepared

        if copy not in self._loaded:
            while len(self._loaded) >= _MOST_LOADED:
                self._loaded.popitem(last=False)
            self._loaded[copy] = prepared.load(Path(copy.folder), copy.name, copy.sha256)
        self._loaded.move_to_end(copy)
        return self._loaded[copy]


def _predicted(loaded: LoadedModel, asked: Mapping[str, Any], content: bytes) -> bytes:
    from serving.models.predictor import by_sklearn

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
    child_process.main(Loaded().answer_to)
