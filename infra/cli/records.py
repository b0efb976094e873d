"""What MLflow recorded about DAG runs and versions, as the command line shows it. Effects: reads MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.cli.following import seconds_of
from infra.cli.output import finite
from ml.tracking.outcome import Outcome
from ml.tracking.runs import find_run, run_key
from ml.tracking.searching import every

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Record:
    """What a DAG run left in MLflow: its run and its version; None for what it did not get to."""

    run: Run | None = None
    version: ModelVersion | None = None

    @property
    def outcome(self) -> Outcome:
        """How the run ended."""
        return Outcome.of(self.run.data.tags if self.run else {})

    @property
    def metrics(self) -> Mapping[str, float]:
        """The run's metrics, by name."""
        return self.run.data.metrics if self.run else {}


def record_of(tracker: MlflowClient, dag_id: str, run_id: str) -> Record:
    """What one DAG run left, looked up by its run key."""
    key = run_key(dag_id, run_id)
    run = find_run(tracker, key)
    versions = tracker.search_model_versions(f"tags.run_key = '{key}'") if run else []
    return Record(run, min(versions, key=lambda each: int(each.version), default=None))


def experiment_ids(tracker: MlflowClient) -> list[str]:
    """Every experiment that was not deleted."""
    return [experiment.experiment_id for experiment in every(tracker.search_experiments)]


def latest_runs(tracker: MlflowClient, dag_id: str, limit: int) -> dict[str, Run]:
    """The latest MLflow runs of a DAG, the newest first, by the id of their DAG run."""
    condition, order = f"tags.`airflow.dag_id` = '{dag_id}'", ["attributes.start_time DESC"]
    runs: dict[str, Run] = {}
    for run in tracker.search_runs(experiment_ids(tracker), condition, max_results=limit, order_by=order):
        runs.setdefault(run.data.tags.get("airflow.run_id", run.info.run_id), run)
    return runs


def all_versions(tracker: MlflowClient, name: str | None = None) -> list[ModelVersion]:
    """Every version of one registered model, or of all, the newest first of each."""
    from ml.registry.versions import named

    versions = every(tracker.search_model_versions, filter_string=named(name) if name else None)
    return sorted(versions, key=lambda version: (version.name, -int(version.version)))


def version_rows(tracker: MlflowClient, name: str | None = None) -> list[dict[str, Any]]:
    """Every version as `models --json` prints it."""
    from ml.registry.versions import aliases

    versions = all_versions(tracker, name)
    pointers = {each: aliases(tracker, each) for each in {version.name for version in versions}}
    metrics = _metrics_of(tracker, [version.run_id for version in versions if version.run_id])
    return [
        {
            "name": version.name,
            "version": str(version.version),
            "aliases": sorted(a for a, target in pointers[version.name].items() if target == str(version.version)),
            "metrics": finite(metrics.get(version.run_id or "", {})),
            "run_id": version.run_id,
            "dag_run_id": version.tags.get("airflow.run_id"),
        }
        for version in versions
    ]


def _metrics_of(tracker: MlflowClient, run_ids: list[str]) -> dict[str, dict[str, float]]:
    metrics: dict[str, dict[str, float]] = {}
    experiments = experiment_ids(tracker)
    for begin in range(0, len(run_ids), 100):
        ids = ", ".join(f"'{run_id}'" for run_id in run_ids[begin : begin + 100])
        for run in tracker.search_runs(experiments, f"attributes.run_id IN ({ids})", max_results=100):
            metrics[run.info.run_id] = dict(run.data.metrics)
    return metrics


def run_summary(run: dict[str, Any]) -> dict[str, Any]:
    """What the lists show of a DAG run, from Airflow's answer."""
    return {
        "dag_run_id": run["dag_run_id"],
        "state": run.get("state"),
        "started_at": run.get("start_date") or run.get("queued_at"),
        "duration_s": seconds_of(run),
    }
