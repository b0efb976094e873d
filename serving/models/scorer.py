"""Predicts by scikit-learn, in a process of its own. Effects: that process.

The service predicts by itself what is one matrix product. All else, versions that are not linear and numbers so far
out that rounding would show, is predicted here, from the checked copies on disk; so the service holds neither
scikit-learn nor pandas, and a model that brings its process down takes nothing else with it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import Unavailable
from serving.models.child_process import Child, Ended, TooSlow

_IDLE_S = 60.0
_PATIENCE_S = 60.0
_TRIES = 2


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

    The process ends when it was asked nothing for `idle_s` seconds, unless it is kept warm; an answer may take
    `patience_s`.
    """

    def __init__(self, idle_s: float = _IDLE_S, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._warm: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._child = Child("serving.models.scorer_process", idle_s, lambda: bool(self._warm))

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

        The columns are the version's: numbers as float64 with NaN for missing, texts as lists with None; `kinds` are
        their MLflow types, in order.

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
                return self._child.ask({**asdict(copy), **asked}, self._patience_s, content)[1]
            except Ended as error:
                ends.append(str(error))
            except TooSlow as error:
                raise Unavailable(f"{copy} did not predict {error}: ask again later, or for fewer rows") from None
        raise Unavailable(
            f"{copy} cannot predict this: its process ended {_TRIES} times ({', '.join(ends)}); "
            "the service's log has its last words"
        )


def _text(value: Any) -> str | None:
    return None if value is None or value != value else str(value)
