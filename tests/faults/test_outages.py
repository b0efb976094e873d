"""What dies or goes away while the pipeline runs: it costs time, and never a second version or a wrong state."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from infra.stack.supervision import Supervisor
from tests.support import PIPELINE, ROLLOUT, RunningStack, wait_for

pytestmark = pytest.mark.further


@pytest.fixture(autouse=True)
def healthy(running: RunningStack) -> Iterator[None]:
    """Every test finds and leaves all parts ready."""
    yield
    running.healthy()


@pytest.fixture
def manager(running: RunningStack) -> Supervisor:
    return Supervisor(running.info.plan)


def _state(running: RunningStack, run_id: str, task: str) -> Any:
    return running.tasks(run_id).get(task, {}).get("state")


def _wait_until_running(running: RunningStack, run_id: str, task: str) -> None:
    wait_for(lambda: _state(running, run_id, task) in ("running", "success"), f"{task} to run")


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _one_version(running: RunningStack, run_id: str) -> None:
    """What must hold after every fault: one run, one version with its file, one champion."""
    assert len(running.versions(run_id)) == 1
    assert running.mlflow_run(run_id).info.status == "FINISHED"
    assert running.champion() is not None


def test_a_killed_task_is_tried_again_and_makes_one_version(running: RunningStack) -> None:
    run_id = running.trigger("killed_task")
    _wait_until_running(running, run_id, "build_save_model_task")
    worker = psutil.Process(running.pid("celery-worker"))
    for process in worker.children():
        # Below each pool process that has work is the process of its task; idle ones have no child.
        for task in process.children():
            _kill(task.pid)

    assert running.finished(run_id) == "success"

    _one_version(running, run_id)


def test_a_killed_worker_comes_back_and_the_run_ends_well(running: RunningStack) -> None:
    run_id = running.trigger("killed_worker")
    _wait_until_running(running, run_id, "data_preprocessing_task")
    worker = psutil.Process(running.pid("celery-worker"))
    for process in [worker, *worker.children(recursive=True)]:
        if process.is_running():
            _kill(process.pid)

    assert running.finished(run_id) == "success"

    _one_version(running, run_id)


def test_a_killed_scheduler_comes_back_and_the_run_ends_well(running: RunningStack) -> None:
    run_id = running.trigger("killed_scheduler")
    _wait_until_running(running, run_id, "load_data_task")
    _kill(running.pid("airflow-scheduler"))

    assert running.finished(run_id) == "success"

    _one_version(running, run_id)


def test_mlflow_and_s3_away_cost_only_time(running: RunningStack, manager: Supervisor) -> None:
    run_id = running.trigger("mlflow_and_s3_away")
    _wait_until_running(running, run_id, "load_data_task")
    manager.stop_parts(["mlflow"])
    _kill(running.pid("s3"))
    # The service answers from memory meanwhile.
    answer = running.status()
    assert answer["model"]["version"]
    wait_for(lambda: not running.status()["upstream"]["mlflow"]["ok"], "the service to notice")
    assert running.get("/ready").status_code == 200
    manager.start_part("mlflow")

    assert running.finished(run_id) == "success"

    _one_version(running, run_id)


def test_redis_and_postgres_restarted_lose_no_run(running: RunningStack) -> None:
    run_id = running.trigger("restarted_databases")
    _wait_until_running(running, run_id, "load_data_task")
    _kill(running.pid("redis"))
    _kill(running.pid("postgres"))

    running.healthy()
    assert running.finished(run_id) == "success"

    _one_version(running, run_id)


def test_a_run_that_is_stopped_ends_its_mlflow_run(running: RunningStack) -> None:
    run_id = running.trigger("stopped", rows=300_000)
    wait_for(lambda: running.mlflow_run(run_id).info.status == "RUNNING", "the MLflow run to be opened")
    running.airflow.patch_run_state(PIPELINE, run_id, "failed")

    wait_for(lambda: running.mlflow_run(run_id).info.status in ("KILLED", "FAILED"), "the MLflow run to end")

    assert running.finished(run_id) == "failed"
    assert running.versions(run_id) == []


def test_mail_that_cannot_be_sent_changes_nothing(running: RunningStack, manager: Supervisor) -> None:
    manager.stop_parts(["smtp"])
    try:
        run_id = running.trigger("no_mail")
        wait_for(lambda: running.airflow.dag_run(PIPELINE, run_id)["state"] in ("success", "failed"), "the run")
    finally:
        manager.start_part("smtp")

    assert running.finished(run_id) == "success"
    _one_version(running, run_id)


def test_the_service_restarts_from_its_own_copy_when_all_else_is_down(
    running: RunningStack, manager: Supervisor
) -> None:
    version = running.served()
    manager.stop_parts(["mlflow"])
    try:
        service = psutil.Process(running.pid("serving"))
        for process in [service, *service.children(recursive=True)]:
            _kill(process.pid)
        wait_for(lambda: running.status()["model"]["version"] == version, "the copy to be served")
        assert running.get("/ready").status_code == 200
    finally:
        manager.start_part("mlflow")


def test_a_silent_service_fails_its_rollout_by_mail_and_the_next_one_starts_it(
    running: RunningStack, manager: Supervisor
) -> None:
    running.run("before_silence")
    rollout = "rollout__before_silence"
    wait_for(lambda: running.tasks(rollout, ROLLOUT)["start_Flask_API"]["state"] == "deferred", "the rollout")
    manager.stop_parts(["serving"])

    assert running.finished(rollout, ROLLOUT) == "failed"

    wait_for(
        lambda: any("does not answer" in str(mail["Subject"]) for mail in running.mails()), "the mail about it", 60
    )
    running.run("starts_the_service")
    started = "rollout__starts_the_service"
    wait_for(lambda: running.tasks(started, ROLLOUT)["start_Flask_API"]["state"] == "deferred", "the rollout")
    assert running.get("/ready").status_code == 200
