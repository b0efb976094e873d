"""How the pipeline is doing, asked of Airflow by one thread and kept for everybody. Effects: HTTP to Airflow."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

log = logging.getLogger(__name__)

POLL_S = 1.0
_FINISHED = ("success", "failed")
_UNDER_WAY = ("running", "queued")
_AT = ("running", "queued", "scheduled", "deferred", "up_for_retry", "restarting")
_SHOWN_RUNS = 50
_FOLLOWED_RUNS = 4


class Airflow(Protocol):
    """What the board asks of Airflow."""

    def dag_runs(
        self, dag_id: str, limit: int = ..., order_by: str = ..., state: str | None = ...
    ) -> list[dict[str, Any]]:
        """DAG runs."""

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run."""


@dataclass(frozen=True)
class PipelineState:
    """What Airflow said last.

    Attributes:
        last_run: The last finished run with its tasks, None before there is one.
        running: The runs under way, each with the tasks that it is at (of the first few only).
        runs: The latest runs, the newest first.
    """

    last_run: dict[str, Any] | None = None
    running: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)


class PipelineBoard:
    """Keeps the last state of the pipeline that Airflow told.

    Args:
        airflow: A client of Airflow's API.
        dag_id: The DAG whose runs are reported.
        clock: Seconds that only grow.
    """

    def __init__(self, airflow: Airflow, dag_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._airflow = airflow
        self._dag_id = dag_id
        self._clock = clock
        self._asked_at: float | None = None
        self._last_word: tuple[tuple[str, str, str | None], list[dict[str, Any]]] | None = None
        self.state = PipelineState()
        self.error: str | None = "it was not asked yet"

    @property
    def age_s(self) -> float | None:
        """The seconds since Airflow last answered, None before it ever did."""
        return None if self._asked_at is None else self._clock() - self._asked_at

    def refresh(self) -> None:
        """Asks Airflow once; when it does not answer, what it said before stays and the reason is kept."""
        try:
            runs = self._runs(limit=_SHOWN_RUNS)
            finished = next((run for run in runs if run["state"] in _FINISHED), None)
            if finished is None and len(runs) == _SHOWN_RUNS:
                finished = self._finished_before_all_these()
            last = {**finished, "tasks": self._tasks_of(finished)} if finished else None
            running = [run for run in runs if run["state"] in _UNDER_WAY]
            # Many runs at once must not become as many questions a second.
            asked = [run["dag_run_id"] for run in running if run["state"] == "running"][:_FOLLOWED_RUNS]
            running = [{**run, "at": self._at(run) if run["dag_run_id"] in asked else []} for run in running]
        except Exception as error:  # noqa: BLE001 - a refresher: the reason is shown, and the last state stays
            self.error = _reason(error)
            return
        self.state = PipelineState(last, running, runs)
        self.error, self._asked_at = None, self._clock()

    def _runs(self, limit: int, state: str | None = None) -> list[dict[str, Any]]:
        return [self._plain(run) for run in self._airflow.dag_runs(self._dag_id, limit=limit, state=state)]

    def _finished_before_all_these(self) -> dict[str, Any] | None:
        ends = [run for state in _FINISHED for run in self._runs(limit=1, state=state)]
        return max(ends, key=lambda run: str(run["run_after"]), default=None)

    def _at(self, run: dict[str, Any]) -> list[str]:
        return [task["task_id"] for task in self._tasks_of(run) if task["state"] in _AT]

    def _tasks_of(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        """The tasks of a run, in the order in which they started; those of a finished run are asked for once."""
        mark = (run["dag_run_id"], run["state"], run["end"])
        if self._last_word is not None and self._last_word[0] == mark:
            return self._last_word[1]
        found = [
            {
                "task_id": task["task_id"],
                "state": task["state"] or "waiting",
                "duration_s": task["duration"],
                "start": task["start_date"],
                "end": task["end_date"],
                "tries": task["try_number"],
            }
            for task in self._airflow.task_instances(self._dag_id, run["dag_run_id"])
        ]
        found.sort(key=lambda task: (task["start"] is None, task["start"] or ""))
        # Teardown tasks may end after the run did, so the last word on a run is kept once all of them ended.
        if run["state"] in _FINISHED and found and all(task["end"] for task in found):
            self._last_word = (mark, found)
        return found

    def _plain(self, run: dict[str, Any]) -> dict[str, Any]:
        return {
            "dag_run_id": run["dag_run_id"],
            "state": run["state"],
            "run_after": run["run_after"],
            "start": run["start_date"],
            "end": run["end_date"],
            "duration_s": run.get("duration"),
            "triggered_by": run.get("triggered_by"),
        }


def _reason(error: Exception) -> str:
    what = " ".join(str(error).split())[:500]
    return what if what and not isinstance(error, LookupError) else f"Airflow's answer cannot be read ({error!r})"


def keep_refreshing(
    refresh: Callable[[], None], every_s: float, name: str, stop: threading.Event | None = None
) -> threading.Event:
    """Calls `refresh` again and again in a thread of its own.

    Args:
        refresh: Reports its own failures; what it raises all the same is logged, and it is called again.
        every_s: The seconds between the end of one call and the start of the next.
        name: The thread's name.
        stop: Ends the thread when it is set.

    Returns:
        `stop`.
    """
    stop = stop or threading.Event()

    def loop(event: threading.Event) -> None:
        while True:
            try:
                refresh()
            except Exception:
                log.exception("refresher=%s", name)
            if event.wait(every_s):
                return

    threading.Thread(target=loop, args=(stop,), name=name, daemon=True).start()
    return stop
