"""Reads and scores large requests in a process of its own: `python -m serving.api.bulk`. Effects: that process.

In the service's own process ten thousand rows would hold up everybody else, in whichever thread they were worked on:
Python runs one thread at a time, and many of the calls that read rows let no other in before they are done. So the body
goes to this process as it came, and the answer comes back as it is sent. What a version's folded form does not answer
is asked back, since the process knows no other model. It is started once, and again where it did not survive a request;
it ends with the service.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any

from ml.errors import PipelineError
from serving.api.parsing import parse
from serving.api.scoring import options_of, score
from serving.models.child_process import stand_back
from serving.models.predictor import Predictor
from serving.web.messages import RequestRefused, TakesLonger, as_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_PATIENCE_S = 60.0
_MOST_SENT = 4
"""How many versions the process keeps; the service knows which."""
_ASK, _DONE, _REFUSED, _FAILED = "ask", "done", "refused", "failed"


class Stopped(Exception):
    """The process ended, or took too long, in the middle of a request; or the service did not answer it."""


@dataclass(frozen=True)
class Job:
    """A request for a prediction.

    Attributes:
        body: What was sent.
        kind: Its content type.
        arguments: The address's arguments.
        most_cells: The most values that the model may have to look at; None for any number.
    """

    body: bytes
    kind: str
    arguments: Mapping[str, str]
    max_rows: int
    most_cells: int | None = None

    def answer(self, predictor: Predictor) -> tuple[bytes, dict[str, Any]]:
        """The answer as JSON, and what the log says of it.

        Raises:
            RequestRefused: The request is not what it must be.
            TakesLonger: It has more than `most_cells`.
        """
        table = parse(self.body, self.kind, self.max_rows)
        if self.most_cells is not None and table.size * len(predictor.loaded.inputs) > self.most_cells:
            raise TakesLonger(is_large=True)
        answer = score(predictor, table, *options_of(self.arguments, table))
        loaded = predictor.loaded
        facts: dict[str, Any] = {"model": loaded.name, "version": loaded.version, "rows": table.size}
        if "warnings" in answer:
            facts["unseen"] = {each["field"]: each["rows"] for each in answer["warnings"]}
        return as_json(answer), facts


class Bulk:
    """Starts the process when it is needed, and asks it one thing at a time; one object may be shared by threads.

    A request may take `patience_s` seconds.
    """

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._sent: deque[Predictor] = deque(maxlen=_MOST_SENT)

    def start(self) -> None:
        """Starts the process where it does not run."""
        with self._lock:
            self._started()

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def answer(self, predictor: Predictor, job: Job) -> tuple[bytes, dict[str, Any]]:
        """What `job.answer(predictor)` returns, found in the process.

        Raises:
            RequestRefused: The request is not what it must be.
            Stopped: The process did not survive it, or took too long.
        """
        with self._lock:
            connection = self._started()
            try:
                reply = self._ask(connection, predictor, job)
            except (EOFError, OSError) as error:
                self._end()
                raise Stopped(f"the process for large requests ended ({type(error).__name__})") from error
            except BaseException:
                # It would wait for an answer that nobody gives, and the next one would get this one's.
                self._end()
                raise
        what, facts, body = reply
        if what == _REFUSED:
            raise RequestRefused(*facts)
        if what == _FAILED:
            raise Stopped(f"the process for large requests failed: {facts}")
        return body, facts

    def _ask(self, connection: Connection, predictor: Predictor, job: Job) -> tuple[str, Any, bytes]:
        # With many categories a version takes longer to send than a request, and others wait for that.
        place = next((place for place, sent in enumerate(self._sent) if sent is predictor), -1)
        connection.send((_form_alone(predictor) if place < 0 else None, place, replace(job, body=b"")))
        if place < 0:
            self._sent.append(predictor)
        connection.send_bytes(job.body)
        while True:
            if not connection.poll(self._patience_s):
                raise Stopped(f"a large request took more than {self._patience_s:.0f} s")
            what, content = connection.recv()
            if what != _ASK:
                return what, content, connection.recv_bytes()
            connection.send(_probability(predictor, content))

    def _started(self) -> Connection:
        if self._connection is None or self._process is None or self._process.poll() is not None:
            self._end()
            ours, theirs = Pipe()
            command = [sys.executable, "-m", "serving.api.bulk", str(theirs.fileno())]
            # In a group of its own: what tells the service to stop must not cut off what it still waits for.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), process_group=0
            )
            theirs.close()
            self._connection = ours
        return self._connection

    def _end(self) -> None:
        process, connection = self._process, self._connection
        self._process, self._connection = None, None
        self._sent.clear()
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.wait()


def _form_alone(predictor: Predictor) -> Predictor:
    loaded = replace(predictor.loaded, pipeline=None)
    return Predictor(loaded, predictor.form, predictor.nullable, categories=predictor.categories)


def _probability(predictor: Predictor, columns: Mapping[str, Any]) -> NDArray[np.float64] | PipelineError:
    """The probability of each row, or why there is none, which is for those to tell who asked."""
    try:
        return predictor.probability(columns)
    except PipelineError as error:
        return error


def serve(connection: Connection) -> None:
    """Answers one request after the other until there are no more."""

    def ask(columns: Mapping[str, Any]) -> NDArray[np.float64]:
        connection.send((_ASK, dict(columns)))
        probability: NDArray[np.float64] | PipelineError = connection.recv()
        if isinstance(probability, PipelineError):
            raise probability
        return probability

    sent: deque[Predictor] = deque(maxlen=_MOST_SENT)
    while True:
        version, place, job = connection.recv()
        if version is not None:
            sent.append(replace(version, elsewhere=ask))
        job = replace(job, body=connection.recv_bytes())
        body = b""
        try:
            body, facts = job.answer(sent[place])
            connection.send((_DONE, facts))
        except RequestRefused as refused:
            connection.send((_REFUSED, (refused.status, refused.code, refused.message, refused.problems)))
        except (EOFError, OSError):
            raise
        except Exception as error:
            log.exception("a large request failed")
            connection.send((_FAILED, type(error).__name__))
        connection.send_bytes(body)


def main() -> None:
    """Serves the service that started this process, to its end."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stand_back()
    # Nearly all of it lies in files that other parts have mapped too; the first request would pay for it otherwise.
    import pyarrow.parquet  # noqa: F401

    with Connection(int(sys.argv[1])) as connection, suppress(EOFError, OSError):
        serve(connection)


if __name__ == "__main__":
    main()
