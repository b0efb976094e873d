"""The commands that list what was made: runs, models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.model_access import notice
from infra.cli.options import DAG_ID, Conditions, Json, ModelFilter
from infra.cli.output import finite, local_time, number, seconds, show_list
from infra.cli.records import all_versions, latest_runs, run_summary, version_rows
from infra.cli.run_filter import Condition, Facts, check_names, parse_condition, sort_key
from infra.cli.session import Session
from ml.evaluation.metrics import SHOWN

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SEARCHED = 500
"""How many of the latest runs a choice is made among."""


def runs(
    context: typer.Context,
    as_json: Json = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many runs, the newest first.")] = 20,
    where: Conditions = None,
    sort: Annotated[str | None, typer.Option("--sort", metavar="NAME", help="Sort by it, the greatest first.")] = None,
    ascending: Annotated[bool, typer.Option("--ascending", help="Sort with the least first.")] = False,
    model: ModelFilter = None,
    state: Annotated[str | None, typer.Option("--state", help="Only runs in this state of Airflow's.")] = None,
) -> None:
    """List the pipeline's runs with their state, duration, version and metrics, the newest first.

    A name in --where and --sort is a metric, a parameter, a tag, or a field of the list such as duration_s.
    """
    conditions = [parse_condition(text) for text in where or []]
    conditions += [Condition(name, "=", value) for name, value in (("model", model), ("state", state)) if value]
    session: Session = context.obj
    info = session.running_stack()
    # Airflow knows no metrics, so a choice by them is made among the latest runs here.
    looked_at = SEARCHED if conditions or sort else limit
    dag_runs = session.airflow(info).dag_runs(DAG_ID, limit=looked_at)
    with session.mlflow(info) as tracker:
        rows, facts = _rows_and_facts(dag_runs, tracker, looked_at)
    rows = chosen(rows, facts, conditions, (sort, ascending))[:limit]
    headings = ["run", "state", "started", "took", "version", *SHOWN]
    empty = "no runs yet: 'trackyard run' starts one"
    show_list(session.out, rows, headings, _run_cells, as_json=as_json, empty=empty)


def _run_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["dag_run_id"],
        row["state"] or "-",
        local_time(row["started_at"]),
        seconds(row["duration_s"]),
        f"{row['model']['name']} {row['model']['version']}" if row["model"] else "-",
        *(number(row["metrics"].get(name)) for name in SHOWN),
    ]


def chosen(
    rows: list[dict[str, Any]], facts: list[Facts], conditions: list[Condition], order: tuple[str | None, bool]
) -> list[dict[str, Any]]:
    """The rows that fulfil every condition, in the order that was asked for; `BadInput` where no run has such a name.

    Rows are as `runs --json` prints them, facts what is known of each by name. The order is the name to sort by, or
    None to leave them, and whether the least comes first.
    """
    name, is_ascending = order
    check_names([*(each.name for each in conditions), *filter(None, [name])], facts)
    pairs = [(row, each) for row, each in zip(rows, facts, strict=True) if all(c.holds(each) for c in conditions)]
    if name:
        # Those without a value come last, whichever way the others are sorted.
        having = [pair for pair in pairs if pair[1].get(name) is not None]
        having.sort(key=lambda pair: sort_key(pair[1], name), reverse=not is_ascending)
        pairs = having + [pair for pair in pairs if pair[1].get(name) is None]
    return [row for row, _ in pairs]


def _rows_and_facts(
    dag_runs: list[dict[str, Any]], tracker: MlflowClient, limit: int
) -> tuple[list[dict[str, Any]], list[Facts]]:
    """Airflow's runs with what MLflow recorded about each, as `runs --json` prints them; and all facts by name."""
    # A DAG run may be older than others that MLflow has more than one of, so MLflow is asked for a few more.
    recorded = latest_runs(tracker, DAG_ID, min(1000, limit + 50))
    versions = {version.run_id: version for version in all_versions(tracker)}
    rows: list[dict[str, Any]] = []
    facts: list[Facts] = []
    for dag_run in dag_runs:
        summary = run_summary(dag_run)
        run: Run | None = recorded.get(summary["dag_run_id"])
        version = versions.get(run.info.run_id) if run else None
        rows.append(
            {
                **summary,
                "run_id": run.info.run_id if run else None,
                "model": {"name": version.name, "version": str(version.version)} if version else None,
                "metrics": finite(run.data.metrics) if run else {},
            }
        )
        recorded_facts = {**run.data.tags, **run.data.params, **run.data.metrics} if run else {}
        model = {"model": version.name, "version": str(version.version)} if version else {}
        facts.append({"model": recorded_facts.get("model.name"), **recorded_facts, **summary, **model})
    return rows, facts


def models(context: typer.Context, as_json: Json = False, model: ModelFilter = None) -> None:
    """List the registered versions with their aliases, metrics and origin, the newest first."""
    session: Session = context.obj
    info = session.running_stack()
    with session.mlflow(info) as tracker:
        rows = version_rows(tracker, model)
        notice(session, info, sorted({row["name"] for row in rows}))
    headings = ["model", "version", "aliases", *SHOWN, "run"]
    empty = "no versions yet: 'trackyard run' makes one"
    show_list(session.out, rows, headings, _version_cells, as_json=as_json, empty=empty)


def _version_cells(row: dict[str, Any]) -> list[str]:
    metrics = [number(row["metrics"].get(name)) for name in SHOWN]
    return [row["name"], row["version"], ", ".join(row["aliases"]) or "-", *metrics, row["dag_run_id"] or "-"]
