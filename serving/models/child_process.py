"""A process of the service's own that answers questions, for what the service itself had better not do. Effects: it.

What takes scikit-learn takes more memory than all the rest of the service; and a file that somebody made is better
opened where it can bring nothing down. A question is a line of JSON, with as many bytes behind it as it says; so is an
answer. The process is started when there is something to ask, and ends with the service, or when it has nothing to do.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

import ml.errors
from ml.errors import PipelineError, one_line

log = logging.getLogger(__name__)

_BYTES = "bytes"
Answer = tuple[dict[str, Any], bytes]
AnswerTo = Callable[[Mapping[str, Any], bytes], Answer]


class Ended(Exception):
    """The process ended instead of answering; the message tells how."""


class TooSlow(Exception):
    """The answer did not come in time; the message tells the time. The process was ended, where it had the question."""


class Child:
    """Starts the process when it is needed, and asks it one question at a time; one object may be shared by threads.

    The process runs a module's `main`, which calls `main` here, and waits `idle_s` seconds for more before it ends;
    `stays`, asked then, tells whether it stays all the same.
    """

    def __init__(self, module: str, idle_s: float, stays: Callable[[], bool] = lambda: False) -> None:
        self._module = module
        self._idle_s = idle_s
        self._stays = stays
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._used_at = 0.0

    def ask(self, question: Mapping[str, Any], patience_s: float, content: Sequence[memoryview | bytes] = ()) -> Answer:
        """The answer to a question of plain values and bytes, and the bytes that come with it.

        The answer may take `patience_s` seconds, those in which others are answered first among them.

        Raises:
            Ended: The process ended.
            TooSlow: The time was over.
            PipelineError: It answers with an error, which is raised here again.
        """
        until = time.monotonic() + patience_s
        if not self._lock.acquire(timeout=patience_s):
            raise TooSlow(f"within {patience_s:g} s, since others are still being answered")
        try:
            process = self._started()
            try:
                with _limit(process, until, patience_s):
                    answer = _asked(process, question, content)
            except BaseException:
                self._end()
                raise
            finally:
                self._used_at = time.monotonic()
        finally:
            self._lock.release()
        if "error" in answer[0]:
            kind = getattr(ml.errors, str(answer[0]["error"]), PipelineError)
            raise kind(answer[0]["message"])
        return answer

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            # Not by -m: the package has imported the module by then, and it would be there twice.
            command = [sys.executable, "-c", f"import {self._module} as asked; asked.main()"]
            # With a thread for each processor it would leave none to the requests that take no time.
            environ = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
            threading.Thread(target=self._end_when_idle, args=(self._process,), daemon=True).start()
        return self._process

    def _end_when_idle(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            time.sleep(min(1.0, self._idle_s / 4))
            with self._lock:
                if process is not self._process:
                    return
                if time.monotonic() - self._used_at > self._idle_s and not self._stays():
                    self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                # What was not taken any more is still to be written.
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            process.wait()


@contextmanager
def _limit(process: subprocess.Popen[bytes], until: float, patience_s: float) -> Iterator[None]:
    """Ends the process when the time is over: it may hang over reading as well as over answering."""
    timer = threading.Timer(max(0.0, until - time.monotonic()), process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Ended:
        if time.monotonic() >= until:
            raise TooSlow(f"within {patience_s:g} s") from None
        raise
    finally:
        timer.cancel()


def _asked(
    process: subprocess.Popen[bytes], question: Mapping[str, Any], content: Iterable[memoryview | bytes]
) -> Answer:
    assert process.stdin
    assert process.stdout
    pieces = [memoryview(piece).cast("B") for piece in content]
    try:
        _write(process.stdin, question, pieces)
    except OSError:
        raise Ended(_how(process)) from None
    answer = _read(process.stdout)
    if answer is None:
        raise Ended(_how(process))
    return answer


def _how(process: subprocess.Popen[bytes]) -> str:
    # Its pipe may be closed a moment before its end, or without one.
    with suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    code = process.poll()
    if code is None:
        return "it closed its pipe"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _write(to: IO[bytes], message: Mapping[str, Any], content: Sequence[memoryview | bytes]) -> None:
    size = sum(len(piece) for piece in content)
    to.write(json.dumps({**message, _BYTES: size}).encode() + b"\n")
    for piece in content:
        to.write(piece)
    to.flush()


def _read(source: IO[bytes]) -> Answer | None:
    """What was written at the other end; None where that ended."""
    line = source.readline()
    if not line.endswith(b"\n"):
        return None
    message: dict[str, Any] = json.loads(line)
    size = int(message.pop(_BYTES))
    content = source.read(size)
    return (message, content) if len(content) == size else None


def serve(answer_to: AnswerTo, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answers question after question until there are no more; what goes wrong over one is its answer."""
    while (asked := _read(questions)) is not None:
        try:
            message, content = answer_to(*asked)
        except Exception as error:  # noqa: BLE001 - whoever asked raises it
            message, content = {"error": type(error).__name__, "message": one_line(error)}, b""
        _write(answers, message, [content])


def main(answer_to: AnswerTo) -> None:
    """Serves the service that started this process; whatever a library prints goes to the log instead."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("serving").setLevel(logging.INFO)
    for asked_to_stop in (signal.SIGINT, signal.SIGTERM):
        # It ends when the service does, which may be asked to stop together with it and still has answers to give.
        signal.signal(asked_to_stop, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(answer_to, sys.stdin.buffer, answers)


def stand_back() -> None:
    """Lets the service go first where there are not enough processors for both.

    By five steps, which leave a process a third: twice as many left it next to nothing on a busy machine.
    """
    os.nice(5)
