"""What the monitor keeps of what Airflow told it, and how often Airflow is asked."""

from __future__ import annotations

import threading
from typing import Any

from ml.errors import AirflowDown
from serving.upstream.pipeline import IDLE_S, PipelineMonitor


def run(run_id: str, state: str, hour: int) -> dict[str, Any]:
    """A run as Airflow tells it; a manual one has no logical date."""
    is_over = state in ("success", "failed")
    return {
        "dag_run_id": run_id, "state": state, "logical_date": None, "run_after": f"2026-01-01T{hour:02d}:00:00Z",
        "start_date": f"2026-01-01T{hour:02d}:00:01Z", "end_date": f"2026-01-01T{hour:02d}:00:09Z" if is_over else None,
        "duration": 8.0 if is_over else None, "triggered_by": "rest_api",
    }  # fmt: skip


def task(task_id: str, state: str | None, start: str | None, end: str | None) -> dict[str, Any]:
    """A task as Airflow tells it."""
    return {
        "task_id": task_id, "state": state, "start_date": start, "end_date": end,
        "duration": 1.0 if end else None, "try_number": 1,
    }  # fmt: skip


class Airflow:
    """Answers as Airflow does, and counts what it is asked."""

    def __init__(self, *runs: dict[str, Any]) -> None:
        self.runs = list(runs)
        self.tasks: dict[str, list[dict[str, Any]]] = {}
        self.error: Exception | None = None
        self.asked: list[str] = []

    def dag_runs(
        self, dag_id: str, limit: int = 25, order_by: str = "-run_after", state: str | None = None, offset: int = 0
    ) -> list[dict[str, Any]]:
        self.asked.append(f"runs {state or 'all'}" + (f" from {offset}" if offset else ""))
        if self.error:
            raise self.error
        assert order_by == "-run_after"
        found = [run for run in self.runs if state in (None, run["state"])]
        return sorted(found, key=lambda run: str(run["run_after"]), reverse=True)[offset : offset + limit]

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        self.asked.append(f"tasks {run_id}")
        return self.tasks.get(run_id, [task("load", "success", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z")])


def refreshed(airflow: Airflow) -> PipelineMonitor:
    monitor = PipelineMonitor(airflow, "d")
    monitor.refresh()
    return monitor


def test_the_last_run_is_the_finished_one_with_the_latest_run_after() -> None:
    monitor = refreshed(Airflow(run("old", "success", 1), run("new", "failed", 3), run("now", "running", 4)))

    assert monitor.state.last_run
    assert monitor.state.last_run["dag_run_id"] == "new"
    assert [found["dag_run_id"] for found in monitor.state.runs] == ["now", "new", "old"]
    assert [found["dag_run_id"] for found in monitor.state.running] == ["now"]


def test_a_finished_run_is_found_behind_many_that_are_not() -> None:
    waiting = [run(f"queued_{number}", "queued", 20) for number in range(60)]

    monitor = refreshed(Airflow(run("good", "success", 2), run("bad", "failed", 3), *waiting))

    assert monitor.state.last_run
    assert monitor.state.last_run["dag_run_id"] == "bad"
    assert len(monitor.state.running) == 50


def test_tasks_come_in_the_order_in_which_they_started_and_those_that_wait_last() -> None:
    airflow = Airflow(run("r", "running", 1))
    airflow.tasks["r"] = [
        task("third", None, None, None),
        task("second", "running", "2026-01-01T00:00:05Z", None),
        task("first", "success", "2026-01-01T00:00:01Z", "2026-01-01T00:00:04Z"),
    ]

    monitor = refreshed(airflow)
    assert monitor.state.running[0]["at"] == ["second"]

    airflow.runs = [run("r", "failed", 1)]
    monitor.refresh()
    assert monitor.state.last_run
    assert [(found["task_id"], found["state"]) for found in monitor.state.last_run["tasks"]] == [
        ("first", "success"), ("second", "running"), ("third", "waiting"),
    ]  # fmt: skip


def test_the_tasks_of_a_finished_run_are_asked_for_once() -> None:
    airflow = Airflow(run("r", "success", 1))
    monitor = refreshed(airflow)
    monitor.refresh()
    monitor.refresh()

    assert airflow.asked == ["runs all", "tasks r", "runs all", "runs all"]


def test_tasks_that_still_run_when_their_run_ended_are_asked_for_again() -> None:
    airflow = Airflow(run("r", "success", 1))
    airflow.tasks["r"] = [task("close_run", "running", "2026-01-01T00:00:01Z", None)]
    monitor = refreshed(airflow)
    airflow.tasks["r"] = [task("close_run", "success", "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z")]
    monitor.refresh()

    assert monitor.state.last_run
    assert monitor.state.last_run["tasks"][0]["state"] == "success"


def test_many_runs_at_once_do_not_become_as_many_questions() -> None:
    airflow = Airflow(*[run(f"r{number}", "running", 1) for number in range(20)])

    monitor = refreshed(airflow)

    assert len(monitor.state.running) == 20
    assert len(airflow.asked) <= 5


def test_an_outage_leaves_the_state_with_its_age_and_the_reason() -> None:
    seconds = [100.0]
    airflow = Airflow(run("r", "success", 1))
    monitor = PipelineMonitor(airflow, "d", clock=lambda: seconds[0])
    assert monitor.age_s is None
    monitor.refresh()
    airflow.error = AirflowDown("Airflow at http://a does not answer")
    seconds[0] += 12
    monitor.refresh()

    assert (monitor.age_s, monitor.error) == (12, "Airflow at http://a does not answer")
    assert monitor.state.last_run


def test_an_answer_that_lacks_something_is_no_crash() -> None:
    monitor = refreshed(Airflow({"dag_run_id": "r", "run_after": "2026"}))

    assert monitor.error
    assert "cannot be read" in monitor.error
    assert monitor.state.last_run is None


def test_the_history_is_fetched_page_by_page_and_kept_in_order() -> None:
    airflow = Airflow(
        *[{**run(f"r{number:03}", "success", 1), "run_after": f"2026-01-01T{number:05}"} for number in range(330)]
    )
    monitor = PipelineMonitor(airflow, "d")
    for _ in range(6):
        monitor.refresh()

    assert [found["dag_run_id"] for found in monitor.state.runs] == [f"r{number:03}" for number in reversed(range(330))]
    airflow.asked.clear()
    monitor.refresh()
    assert airflow.asked == ["runs all"]


def test_the_tasks_of_a_chosen_run_are_asked_for_once_it_was_looked_at() -> None:
    airflow = Airflow(run("old", "success", 1), run("new", "success", 2))
    monitor = refreshed(airflow)

    assert monitor.tasks_of("old") is None
    assert monitor.tasks_of("nothing of the kind") is None
    monitor.refresh()
    monitor.refresh()

    assert [found["task_id"] for found in monitor.tasks_of("old") or []] == ["load"]
    assert airflow.asked.count("tasks old") == 1


def test_each_question_waits_for_its_turn() -> None:
    turns: list[int] = []
    airflow = Airflow(run("done", "success", 1), run("now", "running", 2))
    monitor = PipelineMonitor(airflow, "d", pace=lambda: turns.append(len(airflow.asked)))
    monitor.refresh()

    assert turns == list(range(len(airflow.asked)))


def waited(monitor: PipelineMonitor) -> list[float | None]:
    """For how long the monitor would wait for its next refresh."""
    waits: list[float | None] = []
    monitor._wake.wait = lambda timeout=None: bool(waits.append(timeout))  # type: ignore[method-assign]
    monitor.wait(threading.Event())
    return waits


def test_airflow_is_asked_less_often_while_no_run_is_under_way() -> None:
    under_way = waited(refreshed(Airflow(run("old", "success", 1), run("now", "queued", 2))))
    airflow = Airflow()
    airflow.error = AirflowDown("away")

    assert waited(refreshed(Airflow(run("old", "success", 1)))) == [IDLE_S]
    assert under_way == waited(refreshed(airflow)) == [0.05]


def test_whoever_wants_to_know_of_an_old_run_does_not_wait_for_the_idle_monitor() -> None:
    monitor = refreshed(Airflow(run("old", "success", 1), run("new", "success", 2)))

    monitor.tasks_of("old")

    assert monitor._wake.is_set()
    monitor.wait(threading.Event())
    assert not monitor._wake.is_set()
