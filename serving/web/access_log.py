"""One log line of JSON for every answer, and its share of the metrics, fifty times a second.

Done for each answer by itself, both cost more than a prediction does. What was not written yet is written when the
process ends; a process that is killed takes its last lines along.

Effects: a stream, and a thread from the first answer on.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from serving.web.messages import Answer, Request, as_json
from serving.web.metrics import Telemetry

_EVERY_S = 0.02
_Entry = tuple[float, Request, Answer, float]


class AccessLog:
    """Takes answers from any thread; the lines go to `stream`, what stderr is at that moment when None."""

    def __init__(self, telemetry: Telemetry, stream: TextIO | None = None) -> None:
        self._telemetry = telemetry
        self._stream = stream
        self._waiting: deque[_Entry] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._has_thread = False

    def add(self, request: Request, answer: Answer, seconds: float) -> None:
        """Takes an answer that was given now, and the seconds that it took."""
        self._waiting.append((time.time(), request, answer, seconds))
        if not self._wake.is_set():
            self._wake.set()
            if not self._has_thread:
                self._start()

    def flush(self) -> None:
        """Writes and counts what waits."""
        with self._lock:
            taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
            for _, request, answer, seconds in taken:
                self._telemetry.count(request, answer, seconds)
            # Whoever reads the log may be gone, and that is no reason to owe an answer.
            with suppress(OSError, ValueError):
                stream = self._stream or sys.stderr
                stream.write(b"".join(map(_line, taken)).decode())
                stream.flush()

    def metrics(self) -> bytes:
        """What was counted until now, as Prometheus reads it."""
        self.flush()
        return self._telemetry.render()

    def _start(self) -> None:
        with self._lock:
            if self._has_thread:
                return
            self._has_thread = True
        atexit.register(self.flush)
        threading.Thread(target=self._write, name="access_log", daemon=True).start()

    def _write(self) -> None:
        pause = threading.Event()
        while True:
            self._wake.wait()
            pause.wait(_EVERY_S)
            self._wake.clear()
            self.flush()


def _line(entry: _Entry) -> bytes:
    when, request, answer, seconds = entry
    line: dict[str, Any] = {
        "time": _moment(int(when * 1000)),
        "id": request.request_id,
        "method": request.method[:20],
        "path": request.path[:200],
        "status": answer.status,
        "ms": round(seconds * 1000, 3),
        "client": request.client,
    }
    if request.token_id:
        line["token"] = request.token_id
    return as_json(line | answer.facts) + b"\n"


@lru_cache(maxsize=8)
def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
