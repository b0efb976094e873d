"""CeleryExecutor for a scheduler that rests while nothing happens.

Each of the scheduler's rounds costs some 40 ms of two processes, and several a second let the tasks of a run follow one
another closely. While no task is in hand, the executor, which is part of each round, holds the next one up until a
query of a millisecond tells that a run or a task has changed. Effects: reads Airflow's database.
"""

from __future__ import annotations

import time
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.providers.celery.executors.celery_executor import CeleryExecutor
from airflow.utils.session import create_session
from airflow.utils.state import State

LOOK_EVERY_S = 0.25
REST_S = 2.0
"""What no row tells, such as the time for another try, waits as long as this at the most."""


class RestingCeleryExecutor(CeleryExecutor):  # type: ignore[misc]  # Airflow tells no types
    """As its base; `heartbeat` returns the later the less there is to do."""

    _seen: list[Any] | None = None

    def heartbeat(self) -> None:
        """Sends tasks and fetches results, and rests where there are none and nothing changed since the last time."""
        super().heartbeat()
        seen, self._seen = self._seen, None
        if self.running or self.queued_tasks or self.event_buffer:
            return
        self._seen = _unfinished()
        # What changed in this round may have come after the scheduler had looked: it looks again at once.
        until = time.monotonic() + REST_S
        while self._seen == seen and time.monotonic() < until:
            time.sleep(LOOK_EVERY_S)
            self._seen = _unfinished()


def _unfinished() -> list[Any]:
    """The runs that have not ended and their tasks, each with the moment at which it changed last."""
    of_run = (TaskInstance.dag_id == DagRun.dag_id) & (TaskInstance.run_id == DagRun.run_id)
    with create_session() as session:
        rows = session.query(DagRun.id, DagRun.state, TaskInstance.id, TaskInstance.updated_at)
        rows = rows.outerjoin(TaskInstance, of_run).filter(DagRun.state.in_(State.unfinished_dr_states))
        return list(rows.order_by(DagRun.id, TaskInstance.id))
