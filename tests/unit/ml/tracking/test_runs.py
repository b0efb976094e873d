"""Runs: opened and written once however often a task is tried, and closed by what happened."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from ml import steps
from ml.tracking import runs
from ml.tracking.outcome import ERRORS, OUTCOME
from tests.support import open_run

if TYPE_CHECKING:
    from mlflow import MlflowClient


def test_the_run_key_is_safe_in_searches_and_keys() -> None:
    expected = hashlib.sha256(b"Airflow_Lab2|manual__2026").hexdigest()[:32]

    assert steps.run_key("Airflow_Lab2", "manual__2026") == expected
    assert steps.run_key("Airflow_Lab2", 'it\'s "odd"/..').isalnum()
    assert steps.run_key("a", "b") != steps.run_key("a", "c")


def test_a_rollout_has_an_id_that_airflow_takes_whatever_the_run_is_called() -> None:
    long, other = "n" * 248, "n" * 247 + "o"

    assert steps.rollout_id("manual__1") == "rollout__manual__1"
    assert len(steps.rollout_id(long)) <= 248
    assert steps.rollout_id(long) != steps.rollout_id(other)
    assert re.fullmatch(r"[A-Za-z0-9_.~:+-]+", steps.rollout_id(long))


def test_a_run_is_opened_once(client: MlflowClient) -> None:
    assert open_run(client, "one").info.run_id == open_run(client, "one").info.run_id
    assert open_run(client, "one").info.run_id != open_run(client, "two").info.run_id


def test_a_run_whose_answer_was_lost_is_found_again(client: MlflowClient) -> None:
    first = open_run(client, "lost")
    client.create_run(first.info.experiment_id, tags={"run_key": runs.run_key("dag", "lost")})

    assert open_run(client, "lost").info.run_id == first.info.run_id


def test_a_run_is_found_beyond_the_first_page_of_experiments(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create_experiment("newer, and so listed before")
    run, search = open_run(client, "far"), client.search_experiments
    monkeypatch.setattr(client, "search_experiments", lambda **asked: search(**asked | {"max_results": 1}))

    found = runs.find_run(client, runs.run_key("dag", "far"))

    assert found
    assert found.info.run_id == run.info.run_id
    assert runs.find_run(client, "nobody") is None


def test_a_run_is_known_by_its_id_as_long_as_it_is_that_dag_runs(client: MlflowClient) -> None:
    run, key = open_run(client, "known"), runs.run_key("dag", "known")

    found = runs.run_of_id(client, run.info.run_id, key)

    assert found
    assert found.info.run_id == run.info.run_id
    assert runs.run_of_id(client, run.info.run_id, "another's") is None
    assert runs.run_of_id(client, "0" * 32, key) is None
    client.delete_run(run.info.run_id)
    assert runs.run_of_id(client, run.info.run_id, key) is None


def test_metrics_are_written_once(client: MlflowClient) -> None:
    run = open_run(client, "metrics")
    model = client.create_logged_model(run.info.experiment_id, name="m", source_run_id=run.info.run_id)
    for _ in range(3):
        runs.write_metrics(client, client.get_run(run.info.run_id), {"test_f1": 0.5}, model.model_id)

    assert [metric.value for metric in client.get_metric_history(run.info.run_id, "test_f1")] == [0.5]


@pytest.mark.parametrize(
    ("tags", "status"),
    [({"outcome": "success"}, "FINISHED"), ({"error.message": "no"}, "FAILED"), ({}, "KILLED")],
)
def test_a_run_is_closed_by_what_happened_and_can_go_on(
    client: MlflowClient, tags: dict[str, str], status: str
) -> None:
    run = open_run(client, f"close {status}")
    runs.write(client, run.info.run_id, tags=tags)

    assert runs.close(client, client.get_run(run.info.run_id)) == status
    runs.begin_step(client, client.get_run(run.info.run_id), (*ERRORS, OUTCOME))

    again = client.get_run(run.info.run_id)
    assert again.info.status == "RUNNING"
    assert not set(tags) & set(again.data.tags)
