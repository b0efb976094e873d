"""Following a run: what is news between two looks, and how long an Airflow that is away is waited for."""

from __future__ import annotations

from typing import Any

import pytest

from infra.cli.errors import CommandFailed
from infra.cli.following import RunView, TaskView, follow, news, run_view, trigger_once
from ml.errors import AirflowDown, BadInput
from tests.fakes import Clock

RUN = ("Airflow_Lab2", "cli__1")


def _view(*tasks: TaskView, state: str = "running") -> RunView:
    return RunView("cli__1", state, None, tasks)


class _Clock(Clock):
    """As a session has it."""

    def clock(self) -> float:
        return self()


class _Reader:
    """Answers with each of `states` in turn; `down` is an Airflow that does not answer."""

    def __init__(self, *states: str) -> None:
        self._states = list(states)

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        if state == "down":
            raise AirflowDown("Airflow does not answer")
        return {"dag_run_id": run_id, "state": state}

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return [{"task_id": "load_data_task", "state": "success", "duration": 0.5, "try_number": 1}]


def test_a_task_is_news_once_when_it_ends() -> None:
    running, ended = _view(TaskView("a", "running")), _view(TaskView("a", "success", 0.5, 1))

    assert news(None, running) == []
    assert news(running, ended) == [TaskView("a", "success", 0.5, 1)]
    assert news(ended, ended) == []


def test_each_try_that_is_to_be_repeated_is_news() -> None:
    first, second = _view(TaskView("a", "up_for_retry", 1.0, 1)), _view(TaskView("a", "up_for_retry", 1.0, 2))

    assert news(None, first) == [TaskView("a", "up_for_retry", 1.0, 1)]
    assert news(first, second) == [TaskView("a", "up_for_retry", 1.0, 2)]


def test_a_view_lists_tasks_in_the_order_in_which_they_started() -> None:
    run = {
        "dag_run_id": "r",
        "state": "success",
        "queued_at": "2026-01-01T00:00:00Z",
        "end_date": "2026-01-01T00:00:08.5Z",
    }

    view = run_view(
        run,
        [
            {"task_id": "later", "state": None, "start_date": None},
            {"task_id": "second", "state": "success", "start_date": "2026-01-01T00:00:02Z", "duration": 1.0},
            {"task_id": "first", "state": "success", "start_date": "2026-01-01T00:00:01Z", "duration": 1.0},
        ],
    )

    assert [task.task_id for task in view.tasks] == ["first", "second", "later"]
    assert [task.state for task in view.tasks] == ["success", "success", "waiting"]
    assert view.duration_s == 8.5
    assert view.has_ended


def test_following_ends_with_the_run() -> None:
    looks: list[str] = []

    view = follow(_Reader("queued", "running", "success"), RUN, lambda seen, _: looks.append(seen.state), _Clock())

    assert looks == ["queued", "running", "success"]
    assert view.state == "success"


def test_an_outage_shorter_than_the_patience_costs_time_only() -> None:
    clock = _Clock()

    view = follow(_Reader("running", *["down"] * 100, "success"), RUN, lambda *_: None, clock)

    assert view.state == "success"
    assert 50 <= clock.now <= 60


def test_an_outage_longer_than_the_patience_is_an_error() -> None:
    clock = _Clock()

    with pytest.raises(AirflowDown):
        follow(_Reader("running", "down"), RUN, lambda *_: None, clock)

    assert 60 <= clock.now <= 62


def test_a_run_that_takes_longer_than_allowed_is_left_going() -> None:
    with pytest.raises(CommandFailed, match="it goes on"):
        follow(_Reader("running"), RUN, lambda *_: None, _Clock(), timeout_s=10)


class _Lossy:
    """Takes every trigger, and loses the answer to the first ones."""

    def __init__(self, lost: int, *, refuse: bool = False, takes: bool = True) -> None:
        self._lost, self._refuse, self._takes = lost, refuse, takes
        self.runs: list[str] = []

    def trigger(self, dag_id: str, conf: object, run_id: str | None = None, note: str | None = None) -> dict[str, Any]:
        assert run_id is not None
        if self._refuse:
            raise BadInput("rows must be at least 20")
        if run_id in self.runs:
            raise BadInput("409: there is such a run")
        if self._takes:
            self.runs.append(run_id)
        if self._lost:
            self._lost -= 1
            raise AirflowDown("the answer is lost")
        return {}

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        if run_id not in self.runs:
            raise BadInput("404")
        return {}


def test_a_lost_answer_makes_no_second_run() -> None:
    airflow = _Lossy(lost=1)

    trigger_once(airflow, RUN, {}, _Clock())

    assert airflow.runs == ["cli__1"]


def test_a_refused_trigger_says_why() -> None:
    with pytest.raises(BadInput, match="at least 20"):
        trigger_once(_Lossy(lost=0, refuse=True), RUN, {}, _Clock())


def test_triggering_gives_up_after_a_minute() -> None:
    clock = _Clock()

    with pytest.raises(AirflowDown):
        trigger_once(_Lossy(lost=10**6, takes=False), RUN, {}, clock)

    assert 60 <= clock.now <= 62


def test_a_task_that_waits_for_a_person_is_news_once() -> None:
    waiting = run_view({"dag_run_id": "r", "state": "running"}, [{"task_id": "approve", "state": "awaiting_input"}])

    assert [task.task_id for task in news(None, waiting)] == ["approve"]
    assert news(waiting, waiting) == []
