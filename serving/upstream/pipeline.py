"""How the pipeline is doing, asked of Airflow by one thread and kept for everybody. Effects: HTTP to Airflow."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ml.errors import one_line
from serving.upstream.airflow import AirflowClient

log = logging.getLogger(__name__)

POLL_S = 1.1
"""The seconds between two questions to Airflow, whatever they are about and however many people watch."""
IDLE_S = 2.0
"""The seconds that are waited besides while no run is under way: a run that begins is told of so much later at most."""
_FINISHED = ("success", "failed")
_UNDER_WAY = ("running", "queued")
_AT = ("running", "queued", "scheduled", "deferred", "up_for_retry", "restarting")
_SHOWN_RUNS = 50
_FOLLOWED_RUNS = 2
_PAGE = 100
MOST_RUNS = 500
_KEPT_TASKS = 50
_HISTORY_EVERY_S = 600.0


@dataclass(frozen=True)
class PipelineState:
    """What Airflow said last.

    Attributes:
        last_run: The last finished run with its tasks, None before there is one.
        running: The runs under way, each with the tasks that it is at (of the first few only).
        runs: The runs that are known, the newest first, at most 500.
    """

    last_run: dict[str, Any] | None = None
    running: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)


class PipelineMonitor:
    """Keeps the last state of the pipeline that Airflow told of a DAG.

    `pace` is called before each question, and waits where one a second is the most.
    """

    def __init__(
        self,
        airflow: AirflowClient,
        dag_id: str,
        clock: Callable[[], float] = time.monotonic,
        pace: Callable[[], None] = lambda: None,
    ) -> None:
        self._airflow = airflow
        self._dag_id = dag_id
        self._clock = clock
        self._pace = pace
        self._asked_at: float | None = None
        self._tasks: dict[str, tuple[tuple[str, str | None], list[dict[str, Any]]]] = {}
        self._older: dict[str, dict[str, Any]] = {}
        self._history_due_at = float("-inf")
        self._wanted: str | None = None
        self._wake = threading.Event()
        self.state = PipelineState()
        self.error: str | None = "it was not asked yet"

    @property
    def age_s(self) -> float | None:
        """The seconds since Airflow last answered, None before it ever did."""
        return None if self._asked_at is None else self._clock() - self._asked_at

    def tasks_of(self, run_id: str) -> list[dict[str, Any]] | None:
        """The tasks of a run as they were last told; None where they are not known yet, and then asked for soon."""
        # Looked up once: the thread that asks Airflow lets go of old runs meanwhile.
        asked = self._tasks.get(run_id)
        if asked is None and any(run["dag_run_id"] == run_id for run in self.state.runs):
            self._wanted = run_id
            self._wake.set()
        return asked[1] if asked else None

    def refresh(self) -> None:
        """Asks Airflow once; when it does not answer, what it said before stays and the reason is kept."""
        try:
            runs = self._runs(limit=_SHOWN_RUNS)
            finished = next((run for run in runs if run["state"] in _FINISHED), None)
            if finished is None and len(runs) == _SHOWN_RUNS:
                finished = self._finished_before_all_these()
            last = {**finished, "tasks": self._asked_tasks(finished)} if finished else None
            running = [run for run in runs if run["state"] in _UNDER_WAY]
            # Many runs at once must not become as many questions a second.
            asked = [run["dag_run_id"] for run in running if run["state"] == "running"][:_FOLLOWED_RUNS]
            running = [{**run, "at": self._at(run) if run["dag_run_id"] in asked else []} for run in running]
            self.state = PipelineState(last, running, self._with_older(runs))
            self.error, self._asked_at = None, self._clock()
            self._ask_for_the_wanted()
            if len(runs) == _SHOWN_RUNS:
                self._ask_for_older()
        except Exception as error:  # noqa: BLE001 - a refresher: the reason is shown, and the last state stays
            self.error = _reason(error)

    def wait(self, stop: threading.Event) -> None:
        """Waits for the next refresh: hardly while a run is under way or an error stands, else until one is wanted."""
        if not stop.is_set():
            self._wake.wait(0.05 if self.error or self.state.running else IDLE_S)
            self._wake.clear()

    def _runs(self, limit: int, **options: Any) -> list[dict[str, Any]]:
        self._pace()
        return [_plain_run(run) for run in self._airflow.dag_runs(self._dag_id, limit=limit, **options)]

    def _finished_before_all_these(self) -> dict[str, Any] | None:
        ends = [run for state in _FINISHED for run in self._runs(limit=1, state=state)]
        return max(ends, key=lambda run: str(run["run_after"]), default=None)

    def _with_older(self, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The newest runs and, behind them, those that were told before."""
        if len(runs) < _SHOWN_RUNS:
            self._older = {}
            return runs
        last = str(runs[-1]["run_after"])
        new = {run["dag_run_id"] for run in runs}
        older = [run for run in self._older.values() if run["dag_run_id"] not in new and str(run["run_after"]) <= last]
        older.sort(key=lambda run: str(run["run_after"]), reverse=True)
        # A run that leaves the newest ones is remembered as it was seen last.
        self._older = {run["dag_run_id"]: run for run in [*runs, *older][:MOST_RUNS]}
        return list(self._older.values())

    def _ask_for_older(self) -> None:
        """Asks for one more page of the history, until enough is known; from the start again every ten minutes."""
        count = len(self._older)
        if self._clock() < self._history_due_at:
            return
        page = self._runs(limit=_PAGE, offset=count) if count < MOST_RUNS else []
        self._older |= {run["dag_run_id"]: run for run in page if run["dag_run_id"] not in self._older}
        if len(page) < _PAGE:
            self._history_due_at = self._clock() + _HISTORY_EVERY_S

    def _ask_for_the_wanted(self) -> None:
        wanted = next((run for run in self.state.runs if run["dag_run_id"] == self._wanted), None)
        self._wanted = None
        if wanted is not None:
            self._asked_tasks(wanted)

    def _at(self, run: dict[str, Any]) -> list[str]:
        return [task["task_id"] for task in self._asked_tasks(run) if task["state"] in _AT]

    def _asked_tasks(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        """The tasks of a run, in the order in which they started; those of a finished run are asked for once."""
        run_id, mark = run["dag_run_id"], (run["state"], run["end"])
        last_mark, tasks = self._tasks.get(run_id, (None, []))
        # Teardown tasks may end after the run did, so the last word on a run is known once all of them ended.
        if tasks and last_mark == mark and run["state"] in _FINISHED and all(task["end"] for task in tasks):
            return tasks
        self._pace()
        tasks = [_plain_task(task) for task in self._airflow.task_instances(self._dag_id, run_id)]
        tasks.sort(key=lambda task: (task["start"] is None, task["start"] or ""))
        kept = dict(list(self._tasks.items())[-_KEPT_TASKS:])
        kept.pop(run_id, None)
        self._tasks = {**kept, run_id: (mark, tasks)}
        return tasks


def _plain_run(run: dict[str, Any]) -> dict[str, Any]:
    return {
        "dag_run_id": run["dag_run_id"],
        "state": run["state"],
        "run_after": run["run_after"],
        "start": run["start_date"],
        "end": run["end_date"],
        "duration_s": run.get("duration"),
        "triggered_by": run.get("triggered_by"),
    }


def _plain_task(task: dict[str, Any]) -> dict[str, Any]:
    return {
        "task_id": task["task_id"],
        "state": task["state"] or "waiting",
        "duration_s": task["duration"],
        "scheduled": task.get("scheduled_when"),
        "start": task["start_date"],
        "end": task["end_date"],
        "tries": task["try_number"],
    }


def _reason(error: Exception) -> str:
    return f"Airflow's answer cannot be read ({error!r})" if isinstance(error, LookupError) else one_line(error)
