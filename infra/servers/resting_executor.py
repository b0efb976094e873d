"""CeleryExecutor for a scheduler that waits for something to happen instead of looking again and again.

Each of the scheduler's rounds costs some 45 ms of two processes, and a run is as fast as its rounds follow its tasks.
The executor is part of each round: it holds the next one up until a query of a millisecond tells that a run or a task
has changed. Effects: reads Airflow's database.
"""

from __future__ import annotations

import time
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.providers.celery.executors.celery_executor import CeleryExecutor
from airflow.utils.session import create_session
from airflow.utils.state import State

LOOK_EVERY_S, REST_S = 0.25, 4.0
"""With no task in hand: the pause between two looks, and how long there are no rounds at the most.

What no row tells, such as the time for another try, waits as long as that."""
LOOK_OFTEN_S, HOLD_S = 0.05, 0.5
"""The same with a task in hand. What no row tells is then that its process was lost."""


class RestingCeleryExecutor(CeleryExecutor):  # type: ignore[misc]  # Airflow tells no types
    """As its base; `heartbeat` returns when there is something to do, or after a while."""

    _seen: list[Any] | None = None

    def heartbeat(self) -> None:
        """Sends tasks and fetches results, and waits where there are none and nothing changed since the last time."""
        super().heartbeat()
        # What changed in this round may have come after the scheduler had looked: it looks again at once.
        seen, self._seen = self._seen, _unfinished()
        if self.event_buffer:
            return
        every_s, most_s = (LOOK_OFTEN_S, HOLD_S) if self.running or self.queued_tasks else (LOOK_EVERY_S, REST_S)
        until = time.monotonic() + most_s
        while self._seen == seen and time.monotonic() < until:
            time.sleep(every_s)
            self._seen = _unfinished()


def _unfinished() -> list[Any]:
    """The runs that have not ended and their tasks, each with the moment at which it changed last."""
    of_run = (TaskInstance.dag_id == DagRun.dag_id) & (TaskInstance.run_id == DagRun.run_id)
    with create_session() as session:
        rows = session.query(DagRun.id, DagRun.state, TaskInstance.id, TaskInstance.updated_at)
        rows = rows.outerjoin(TaskInstance, of_run).filter(DagRun.state.in_(State.unfinished_dr_states))
        return list(rows.order_by(DagRun.id, TaskInstance.id))
