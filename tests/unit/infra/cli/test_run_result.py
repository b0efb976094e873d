"""What `trackyard run` prints once a run has ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.cli.following import RunView, TaskView
from infra.cli.records import Record
from infra.cli.run_result import airflow_link, result_json
from ml.errors import AirflowDown
from tests.unit.infra.cli.conftest import RUN_ID


@pytest.fixture
def recorded(registry) -> Any:
    """A run in MLflow for whatever DAG run is triggered: `recorded(tags, metrics, registered)` writes it."""
    from ml.tracking.runs import run_key

    def write(tags: dict[str, str], metrics: dict[str, float] | None = None, *, registered: bool = False) -> None:
        trigger = registry.airflow.trigger

        def triggered(dag_id: str, conf: dict[str, Any], run_id: str, note: str | None = None) -> dict[str, Any]:
            tracker = registry.tracker
            key = run_key(dag_id, run_id)
            run = tracker.create_run("0", tags={"run_key": key, **tags})
            for name, value in (metrics or {}).items():
                tracker.log_metric(run.info.run_id, name, value)
            if registered:
                tracker.create_registered_model("ad-click")
                tracker.create_model_version("ad-click", "file:///x", run.info.run_id, tags={"run_key": key})
            return trigger(dag_id, conf, run_id, note)

        registry.airflow.trigger = triggered

    registry.record = write
    return registry


def test_a_run_prints_tasks_metrics_version_and_links(recorded) -> None:
    tags = {"promotion.champion": "true", "promotion.reason": "there was none yet"}
    recorded.record(tags, {"test_f1": 0.97, "train_f1": 0.98}, registered=True)
    recorded.airflow.looks = [
        ("running", [recorded.task("load_data_task", "success", 0.4), recorded.task("promote_model_task", "running")]),
        (
            "success",
            [recorded.task("load_data_task", "success", 0.4), recorded.task("promote_model_task", "success", 1.2, 2)],
        ),
    ]

    result = recorded("run")

    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert result.exit_code == 0, result.stderr
    assert lines[0].startswith(f"run {RUN_ID}")
    assert lines[1:3] == ["load_data_task success 0.4 s", "promote_model_task success 1.2 s (try 2)"]
    assert "success after 8.5 s" in lines
    assert "f1 0.970000 - 0.980000" in lines
    assert "model ad-click version 1" in lines
    assert "champion yes: there was none yet" in lines
    assert any(line.startswith("airflow http://127.0.0.1:8080/dags/Airflow_Lab2/runs/cli__") for line in lines)
    assert any(line.startswith("mlflow http://127.0.0.1:5000/#/experiments/0/runs/") for line in lines)
    assert "version http://127.0.0.1:5000/#/models/ad-click/versions/1" in lines
    assert "service http://127.0.0.1:5555" in lines


def test_a_run_as_json_has_the_documented_shape(recorded) -> None:
    recorded.record({"promotion.champion": "false"}, {"test_f1": 0.97}, registered=True)

    result = recorded("run", "--json")

    found = json.loads(result.stdout)
    assert found.pop("dag_run_id").startswith(RUN_ID)
    assert found == {
        "state": "success",
        "duration_s": 8.5,
        "tasks": [{"task_id": "load_data_task", "state": "success", "duration_s": 0.5}],
        "model": {"name": "ad-click", "version": "1", "champion": False},
        "metrics": {"test_f1": 0.97},
    }


def test_a_failed_run_says_what_the_task_recorded(recorded) -> None:
    recorded.record({"error.task": "load_data_task", "error.message": "column 'Age' is missing"})
    recorded.airflow.looks = [("failed", [recorded.task("load_data_task", "failed")])]

    result = recorded("run")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "trackyard: load_data_task failed: column 'Age' is missing"
    assert "/dags/Airflow_Lab2/runs/" in result.stderr


def test_a_failed_run_is_json_too(recorded) -> None:
    recorded.airflow.looks = [("failed", [recorded.task("load_data_task", "failed")])]

    result = recorded("run", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (found["state"], found["model"]) == ("failed", {"name": None, "version": None, "champion": False})


def test_a_task_that_recorded_nothing_is_told_from_its_log(recorded) -> None:
    recorded.airflow.looks = [
        ("failed", [recorded.task("train", "upstream_failed", None), recorded.task("load_data_task", "failed")])
    ]
    recorded.airflow.log = ["starting", "MemoryError: out of memory", "done"]

    result = recorded("run")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[:2] == [
        "trackyard: load_data_task failed; its log says:",
        "  MemoryError: out of memory",
    ]


def test_a_run_whose_metrics_cannot_be_read_is_told_apart(cli) -> None:
    from mlflow.exceptions import MlflowException

    class Away:
        def search_experiments(self, **_: object) -> list[object]:
            raise MlflowException("API request to /x failed: Max retries exceeded")

    cli.tracker = Away()

    result = cli("run")

    assert result.exit_code == 3
    assert "success after" in result.stdout
    assert "succeeded, but its metrics could not be read" in result.stderr


def test_a_run_that_was_stopped_is_no_failure_of_a_task(registry) -> None:
    registry.airflow.looks = [("failed", [registry.task("load_data_task", "success"), registry.task("train", None)])]

    first, link = registry("run").stderr.splitlines()

    assert first.endswith("ended as failed without a failed task: it was stopped")
    assert link.startswith("http://127.0.0.1:8080/dags/Airflow_Lab2/runs/" + RUN_ID)


def test_a_log_that_cannot_be_read_is_told_with_the_task(registry) -> None:
    asked = []

    def away(*task: object) -> list[str]:
        asked.append(task[2:])
        raise AirflowDown("Airflow is away")

    registry.airflow.looks = [("failed", [registry.task("load_data_task", "failed", try_number=3)])]
    registry.airflow.task_log = away

    result = registry("run")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == (
        "trackyard: load_data_task failed, and its log could not be read: Airflow is away"
    )
    assert asked == [("load_data_task", 3)]


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        ([f"line {number}" for number in range(10)], [f"line {number}" for number in range(2, 10)]),
        (
            ["Traceback of x", "no terrors", "KeyError: 'x'", "CRITICAL"],
            ["Traceback of x", "KeyError: 'x'", "CRITICAL"],
        ),
        ([f"error {number}" for number in range(9)], [f"error {number}" for number in range(1, 9)]),
    ],
)
def test_the_last_lines_of_a_log_are_those_about_errors_where_there_are_any(
    registry, log: list[str], shown: list[str]
) -> None:
    registry.airflow.looks = [("failed", [registry.task("load_data_task", "failed")])]
    registry.airflow.log = log

    assert registry("run").stderr.splitlines()[1:-1] == [f"  {line}" for line in shown]


def test_a_run_that_made_nothing_yet_has_the_shape_of_one_that_did() -> None:
    view = RunView("r", "queued", None, (TaskView("load_data_task", "waiting"),))

    assert result_json(view, Record()) == {
        "dag_run_id": "r",
        "state": "queued",
        "duration_s": None,
        "tasks": [{"task_id": "load_data_task", "state": "waiting", "duration_s": None}],
        "model": {"name": None, "version": None, "champion": False},
        "metrics": {},
    }


def test_the_page_of_a_run_is_found_whatever_its_id_holds() -> None:
    page = airflow_link("http://a:8080", "manual__2026-01-31T09:30+00:00/x")

    assert page == "http://a:8080/dags/Airflow_Lab2/runs/manual__2026-01-31T09%3A30%2B00%3A00%2Fx"
