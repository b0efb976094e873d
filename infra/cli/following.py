"""Follow one DAG run until it ends, by asking Airflow again and again.

What is new between two looks is worked out in pure functions; `follow` is the loop around them, and whoever calls it
(the command line) renders. An Airflow that is away for a minute costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from infra.cli.errors import CommandFailed
from ml.errors import AirflowDown, BadInput

if TYPE_CHECKING:
    from infra.cli.session import Session
    from serving.upstream.airflow import AirflowClient

ENDED_TASK = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})
WAITS = frozenset({"up_for_retry", "awaiting_input"})
ENDED_RUN = frozenset({"success", "failed"})
POLL_S = 0.5
OUTAGE_S = 60.0
"""How long an Airflow that does not answer is waited for."""


@dataclass(frozen=True)
class TaskView:
    """One task at one moment: its state (`waiting` before it has one) and the seconds its last try took so far."""

    task_id: str
    state: str
    duration_s: float | None = None
    try_number: int = 0


@dataclass(frozen=True)
class RunView:
    """A DAG run at one moment: seconds since its trigger, and its tasks in the order in which they started."""

    run_id: str
    state: str
    duration_s: float | None
    tasks: tuple[TaskView, ...]

    @property
    def has_ended(self) -> bool:
        """Tells whether Airflow has decided about the run."""
        return self.state in ENDED_RUN


def run_view(dag_run: Mapping[str, Any], instances: Iterable[Mapping[str, Any]]) -> RunView:
    """A view from Airflow's answers about a run and its task instances."""
    ordered = sorted(instances, key=lambda instance: instance.get("start_date") or "9999")
    return RunView(
        run_id=str(dag_run["dag_run_id"]),
        state=str(dag_run.get("state") or "queued"),
        duration_s=seconds_of(dag_run),
        tasks=tuple(_task_view(instance) for instance in ordered),
    )


def _task_view(instance: Mapping[str, Any]) -> TaskView:
    # A mapped task has an instance for each of its values; -1 and nothing stand for one that is not mapped.
    place = instance.get("map_index")
    suffix = f"[{place}]" if isinstance(place, int) and place >= 0 else ""
    return TaskView(
        task_id=f"{instance['task_id']}{suffix}",
        state=str(instance.get("state") or "waiting"),
        duration_s=instance.get("duration"),
        try_number=int(instance.get("try_number") or 0),
    )


def seconds_of(dag_run: Mapping[str, Any]) -> float | None:
    """The seconds from a run's trigger to its end; None while it has none."""
    begin = dag_run.get("queued_at") or dag_run.get("start_date")
    end = dag_run.get("end_date")
    if not begin or not end:
        return None
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def news(before: RunView | None, after: RunView) -> list[TaskView]:
    """The tasks that ended, or that wait for another try or for a person, since the look before."""
    seen = {(task.task_id, task.state, task.try_number) for task in before.tasks} if before else set()
    worth_telling = [task for task in after.tasks if task.state in ENDED_TASK | WAITS]
    return [task for task in worth_telling if (task.task_id, task.state, task.try_number) not in seen]


def follow(
    airflow: AirflowClient,
    run: tuple[str, str],
    on_look: Callable[[RunView, list[TaskView]], None],
    session: Session,
    timeout_s: float | None = None,
) -> RunView:
    """Looks at a run, by the ids of its DAG and its own, until it has ended, and returns the last view.

    `on_look` is told each view, and the tasks that are news in it; `timeout_s` is None for without an end.

    Raises:
        AirflowDown: Airflow was away for longer than a minute.
        CommandFailed: The run took longer than `timeout_s`.
    """
    begin = last_answer = session.clock()
    before: RunView | None = None
    while True:
        try:
            view = _look(airflow, run)
            last_answer = session.clock()
        except AirflowDown:
            if session.clock() - last_answer > OUTAGE_S:
                raise
        else:
            on_look(view, news(before, view))
            if view.has_ended:
                return view
            before = view
        if timeout_s is not None and session.clock() - begin > timeout_s:
            raise CommandFailed(f"{run[1]} has not ended after {timeout_s:g} s; it goes on")
        session.sleep(POLL_S)


def _look(airflow: AirflowClient, run: tuple[str, str]) -> RunView:
    # The run first: when it has ended, the tasks read after it are in their last state.
    dag_run = airflow.dag_run(*run)
    return run_view(dag_run, airflow.task_instances(*run))


def trigger_once(airflow: AirflowClient, run: tuple[str, str], conf: Mapping[str, Any], session: Session) -> None:
    """Triggers a run under an id of our choice, so that asking again after a lost answer makes no second run.

    Raises:
        AirflowDown: Airflow was away for longer than a minute.
        BadInput: Airflow refused it; its reason is the message.
    """
    dag_id, run_id = run
    begin = session.clock()
    asked_before = False
    while True:
        try:
            airflow.trigger(dag_id, conf, run_id=run_id, note=str(conf.get("note") or "") or None)
        except AirflowDown:
            if session.clock() - begin > OUTAGE_S:
                raise
            asked_before = True
            session.sleep(POLL_S)
        except BadInput:
            if asked_before and _exists(airflow, run):
                return
            raise
        else:
            return


def _exists(airflow: AirflowClient, run: tuple[str, str]) -> bool:
    try:
        airflow.dag_run(*run)
    except BadInput:
        return False
    return True
