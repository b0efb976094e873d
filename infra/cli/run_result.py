"""What `trackyard run` prints once a run has ended: numbers and links, or the reason and where to look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from infra.cli.errors import CommandFailed
from infra.cli.following import RunView
from infra.cli.options import DAG_ID
from infra.cli.output import finite, number, say, seconds, show_json, show_table
from infra.cli.records import Record, record_of
from infra.cli.session import Session
from ml.errors import PipelineError, TrackerDown
from ml.tracking.outcome import dag_run_page, run_page, version_page

if TYPE_CHECKING:
    from infra.cli.clients import AnyStack
    from ml.tracking.outcome import Outcome
    from serving.upstream.airflow import AirflowClient

_SHOWN_LINES = 8


def report(session: Session, info: AnyStack, view: RunView, airflow: AirflowClient, *, as_json: bool) -> None:
    """Prints the result of a run that has ended; `CommandFailed` says in which task and why it failed.

    Where it succeeded and MLflow cannot say what it made, that is `TrackerDown`.
    """
    record = Record()
    problem: PipelineError | None = None
    try:
        with session.mlflow(info) as tracker:
            record = record_of(tracker, DAG_ID, view.run_id)
    except PipelineError as error:
        problem = error
    if as_json:
        show_json(session.out, result_json(view, record))
    else:
        _show(session, info, view, record)
    if view.state != "success":
        raise _failure(info, view, record.outcome, airflow)
    if problem is not None:
        raise TrackerDown(f"{view.run_id} succeeded, but its metrics could not be read: {problem}")


def result_json(view: RunView, record: Record) -> dict[str, Any]:
    """The result as `run --json` prints it."""
    return {
        "dag_run_id": view.run_id,
        "state": view.state,
        "duration_s": view.duration_s,
        "tasks": [{"task_id": task.task_id, "state": task.state, "duration_s": task.duration_s} for task in view.tasks],
        "model": {
            "name": record.version and record.version.name,
            "version": record.version and str(record.version.version),
            "champion": record.outcome.is_champion,
        },
        "metrics": finite(record.metrics),
    }


def _show(session: Session, info: AnyStack, view: RunView, record: Record) -> None:
    out = session.out
    say(out, f"{view.state} after {seconds(view.duration_s)}", "bold green" if view.state == "success" else "bold red")
    parts = ("test", "validation", "train")
    names = sorted({name.partition("_")[2] for name in record.metrics if name.partition("_")[0] in parts})
    if names:
        say(out, "")
        rows = [[name, *(number(record.metrics.get(f"{part}_{name}")) for part in parts)] for name in names]
        show_table(out, ["metric", *parts], rows)
        say(out, "")
    if record.version:
        outcome = record.outcome
        say(out, f"model     {record.version.name} version {record.version.version}")
        why = f": {outcome.reason}" if outcome.reason else ""
        say(out, f"champion  {'yes' if outcome.is_champion else 'no'}{why}")
    for name, url in _links(info.urls, view.run_id, record).items():
        say(out, f"{name:<9} {url}")


def airflow_link(url: str, run_id: str) -> str:
    """The page of a DAG run in Airflow."""
    return dag_run_page(url, DAG_ID, run_id)


def _links(urls: Mapping[str, str], run_id: str, record: Record) -> dict[str, str]:
    """Where to look at a run: its pages in Airflow and MLflow, its version, and the service."""
    pages = {"airflow": airflow_link(urls["airflow"], run_id)}
    if record.run:
        pages["mlflow"] = run_page(urls["mlflow"], record.run.info.experiment_id, record.run.info.run_id)
    if record.version:
        pages["version"] = version_page(urls["mlflow"], record.version.name, record.version.version)
    return {**pages, "service": urls["serving"]}


def _failure(info: AnyStack, view: RunView, outcome: Outcome, airflow: AirflowClient) -> CommandFailed:
    link = airflow_link(info.urls["airflow"], view.run_id)
    if outcome.error:
        return CommandFailed(f"{outcome.failed_task or view.run_id} failed: {outcome.error}", [link])
    failed = [task for task in view.tasks if task.state == "failed"]
    if not failed:
        return CommandFailed(f"{view.run_id} ended as {view.state} without a failed task: it was stopped", [link])
    task = failed[0]
    try:
        log = airflow.task_log(DAG_ID, view.run_id, task.task_id, max(1, task.try_number))
    except PipelineError as error:
        return CommandFailed(f"{task.task_id} failed, and its log could not be read: {error}", [link])
    return CommandFailed(f"{task.task_id} failed; its log says:", [*_error_lines(log), link])


def _error_lines(log: list[str]) -> list[str]:
    """The last lines of a task's log that tell of an error, or its last lines where none does."""
    errors = [line for line in log if re.search(r"\b(error|critical|exception|traceback)\b|Error\b", line, re.I)]
    return [f"  {line}" for line in (errors or log)[-_SHOWN_LINES:]]
