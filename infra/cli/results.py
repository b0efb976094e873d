"""The commands that list what was made: runs, models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.history import notice
from infra.cli.output import finite, local_time, number, say, seconds, show_json, show_table
from infra.cli.session import session_of
from infra.cli.stack import DAG_ID, Json, run_summary

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SHOWN = ("test_roc_auc", "test_accuracy", "test_f1", "test_log_loss")
"""The metrics that a table has room for; JSON has all of them."""


def runs(
    context: typer.Context,
    as_json: Json = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many runs, the newest first.")] = 20,
) -> None:
    """List the pipeline's runs with their state, duration, version and metrics, the newest first."""
    from ml.tracking import mapped

    session = session_of(context)
    info = session.running_stack()
    dag_runs = session.airflow(info).dag_runs(DAG_ID, limit=limit)
    with mapped(info.urls["mlflow"]):
        rows = run_rows(dag_runs, session.tracker(info), limit)
    if as_json:
        show_json(session.out, rows)
        return
    if not rows:
        say(session.out, "no runs yet: 'trackyard run' starts one")
        return
    cells = [
        [
            row["dag_run_id"],
            row["state"] or "-",
            local_time(row["started_at"]),
            seconds(row["duration_s"]),
            f"{row['model']['name']} {row['model']['version']}" if row["model"] else "-",
            *(number(row["metrics"].get(name)) for name in SHOWN),
        ]
        for row in rows
    ]
    show_table(session.out, ["run", "state", "started", "took", "version", *SHOWN], cells)


def run_rows(dag_runs: list[dict[str, Any]], tracker: MlflowClient, limit: int) -> list[dict[str, Any]]:
    """Airflow's runs with what MLflow recorded about each, as `runs --json` prints them."""
    from infra.cli.records import latest_runs, versions_by_run

    # A DAG run may be older than others that MLflow has more than one of, so MLflow is asked for a few more.
    recorded = latest_runs(tracker, DAG_ID, min(1000, limit + 50))
    versions = versions_by_run(tracker)
    rows = []
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
    return rows


def models(
    context: typer.Context,
    as_json: Json = False,
    model: Annotated[
        str | None, typer.Option("--model", help="Only this model's versions.", show_default=False)
    ] = None,
) -> None:
    """List the registered versions with their aliases, metrics and origin, the newest first."""
    from infra.cli.records import version_rows
    from ml.tracking import mapped

    session = session_of(context)
    info = session.running_stack()
    with mapped(info.urls["mlflow"]):
        rows = version_rows(session.tracker(info), model)
        notice(session, info, sorted({row["name"] for row in rows}))
    if as_json:
        show_json(session.out, rows)
        return
    if not rows:
        say(session.out, "no versions yet: 'trackyard run' makes one")
        return
    cells = [
        [
            row["name"],
            str(row["version"]),
            ", ".join(row["aliases"]) or "-",
            *(number(row["metrics"].get(name)) for name in SHOWN),
            row["dag_run_id"] or "-",
        ]
        for row in rows
    ]
    show_table(session.out, ["model", "version", "aliases", *SHOWN, "run"], cells)
