"""Opens versions in a process of its own: `python -m serving.opener`. Effects: MLflow, a folder, that process.

Opening takes MLflow's client, scikit-learn and skops, more memory than all the rest of the service; and a file that
somebody made is better opened where it can bring nothing down. The process is started when there is something to open
and ends when there was nothing for a while, or with the service. Requests and answers are lines of JSON.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import ml.errors
from ml.errors import PipelineError, TrackerDown, Untrusted

log = logging.getLogger(__name__)

_IDLE_S = 15.0
_PATIENCE_S = 90.0


class Opener:
    """Starts the process when it is needed, and asks it; one object may be shared by threads.

    Args:
        idle_s: How many seconds the process waits for more before it ends.
        patience_s: How many seconds the fetching and opening of one version may take.
    """

    def __init__(self, idle_s: float = _IDLE_S, patience_s: float = _PATIENCE_S) -> None:
        self._idle_s = idle_s
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._used_at = 0.0

    def open(self, uri: str, name: str, version: str, folder: Path, max_bytes: int) -> None:
        """Fetches a version into an empty folder, checks it, and writes beside it how it predicts (`opened`).

        Args:
            uri: MLflow's address.
            name: The registered model.
            version: The version's number.
            folder: The folder.
            max_bytes: The most that the version's files may have together.

        Raises:
            Untrusted: It was refused, or the process did not survive it.
            TrackerDown: MLflow does not answer, or not in time.
            PipelineError: Anything else that went wrong, with its message.
        """
        asked = {"uri": uri, "name": name, "version": version, "folder": str(folder), "max_bytes": max_bytes}
        with self._lock:
            process = self._started()
            try:
                answer = self._ask(process, json.dumps(asked).encode() + b"\n", f"{name} version {version}")
            except BaseException:
                self._end()
                raise
            finally:
                self._used_at = time.monotonic()
        if "error" in answer:
            kind = getattr(ml.errors, str(answer["error"]), PipelineError)
            raise kind(answer["message"])

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            command = [sys.executable, "-m", "serving.opener"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            threading.Thread(target=self._end_when_idle, args=(self._process,), daemon=True).start()
        return self._process

    def _ask(self, process: subprocess.Popen[bytes], line: bytes, what: str) -> dict[str, Any]:
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except BrokenPipeError:
            raise Untrusted(_ended(process, what)) from None
        until, answer = time.monotonic() + self._patience_s, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise TrackerDown(f"{what} was not fetched and opened within {self._patience_s:.0f} s")
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    raise Untrusted(_ended(process, what))
                answer += piece
        found: dict[str, Any] = json.loads(answer)
        return found

    def _end_when_idle(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            time.sleep(min(1.0, self._idle_s / 4))
            with self._lock:
                if process is not self._process:
                    return
                if time.monotonic() - self._used_at > self._idle_s:
                    self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.kill()
            process.wait()


def _ended(process: subprocess.Popen[bytes], what: str) -> str:
    code = process.wait()
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"{what} could not be opened: the process that tried ended ({how}); the service's log has its last words"


def answer_to(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Does what a line asks for, and returns what is answered."""
    from ml import load, tracking
    from serving import opened
    from serving.model_copy import one_line

    try:
        uri, folder = asked["uri"], Path(asked["folder"])
        with tracking.mapped(uri):
            loaded = load.load_verified(
                tracking.client(uri), asked["name"], asked["version"], folder, int(asked["max_bytes"])
            )
        opened.write(folder, loaded)
    except Exception as error:  # noqa: BLE001 - the service tells of it
        return {"error": type(error).__name__, "message": one_line(error)}
    return {"opened": loaded.version}


def serve(lines: IO[str], answers: IO[str]) -> None:
    """Answers line after line until there are no more."""
    for line in lines:
        answers.write(json.dumps(answer_to(json.loads(line))) + "\n")
        answers.flush()


def main() -> None:
    """Serves the service that started this process; whatever a library prints goes to the log instead."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("serving").setLevel(logging.INFO)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
