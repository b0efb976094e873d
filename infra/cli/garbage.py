"""What nobody needs any more: open runs whose DAG run is over, tables of old runs, objects that nothing refers to.

Effects: MLflow, S3 and Airflow, through what is passed in. `find` only looks; `remove` does what was found. No version
is ever removed, and nothing of a run whose version has an alias.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

from infra.cli.following import ENDED_RUN
from ml.errors import BadInput
from ml.gate import learned_rows
from ml.tracking.runs import RUN_KEY, close
from ml.tracking.searching import every

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from ml.data.store import Listed, Store
    from serving.upstream.airflow import AirflowClient

_PARENT = "mlflow.parentRunId"
KEPT = ("config.json", "verdict.json", learned_rows.FILE)
"""What stays of an old run: small, and with the data set enough to train it again, to know why it was judged so, and to
judge later versions by rows that it never saw."""


@dataclass(frozen=True)
class Garbage:
    """What can go.

    Attributes:
        open_runs: MLflow runs that are RUNNING and whose DAG run is over or gone, with the candidates of theirs.
        tables: Objects of old runs.
        orphans: Objects that no run refers to.
    """

    open_runs: list[Run]
    tables: list[Listed]
    orphans: list[Listed]


def find(tracker: MlflowClient, store: Store, airflow: AirflowClient, before: datetime) -> Garbage:
    """Looks for what can go; what was begun or written after `before` stays: it may be of a run that has just begun."""
    runs = list(_runs(tracker))
    open_runs = _left_open(airflow, runs, before)
    dead = {run.info.run_id for run in open_runs}
    busy = {_key(run) for run in runs if run.info.status == "RUNNING" and run.info.run_id not in dead}
    kept, run_keys = busy | _aliased(tracker), {_key(run) for run in runs}
    tables, orphans = [], []
    for each in store.listed("runs/"):
        key, _, name = each.key.removeprefix("runs/").partition("/")
        if each.changed >= before or key in kept:
            continue
        if key not in run_keys:
            orphans.append(each)
        elif name not in KEPT:
            tables.append(each)
    used = {_object_of(run, store.bucket) for run in runs}
    orphans += [each for each in store.listed("datasets/") if each.changed < before and not _is_used(each.key, used)]
    return Garbage(open_runs, tables, orphans)


def remove(garbage: Garbage, tracker: MlflowClient, store: Store, report: Callable[[str], None]) -> None:
    """Closes the runs and removes the objects that `find` found."""
    for run in garbage.open_runs:
        status = close(tracker, run)
        report(f"closed MLflow run {run.info.run_id} as {status}")
    for each in (*garbage.tables, *garbage.orphans):
        store.delete(each.key)


def _runs(tracker: MlflowClient) -> Iterator[Run]:
    """Every run of ours, also one that was deleted in MLflow: whoever restores it finds its data."""
    from mlflow.entities import ViewType

    experiments = [each.experiment_id for each in every(tracker.search_experiments, view_type=ViewType.ALL)]
    ours = f"tags.{RUN_KEY} != ''"
    return every(tracker.search_runs, experiment_ids=experiments, filter_string=ours, run_view_type=ViewType.ALL)


def _began(run: Run) -> datetime:
    return datetime.fromtimestamp(int(run.info.start_time or 0) / 1000, UTC)


def _left_open(airflow: AirflowClient, runs: list[Run], before: datetime) -> list[Run]:
    """The runs that are RUNNING and whose DAG run does not go on, each DAG run being asked about once."""
    by_id = {run.info.run_id: run for run in runs}
    goes_on = functools.cache(lambda run_id: _goes_on(airflow, by_id[run_id]))

    def is_alive(run: Run) -> bool:
        # A candidate of a search goes on as long as the run that it belongs to.
        parent = run.data.tags.get(_PARENT)
        return bool(goes_on(parent if parent in by_id else run.info.run_id))

    return [run for run in runs if run.info.status == "RUNNING" and _began(run) < before and not is_alive(run)]


def _goes_on(airflow: AirflowClient, run: Run) -> bool:
    tags = run.data.tags
    if not tags.get("airflow.run_id"):
        return False
    try:
        state = airflow.dag_run(tags.get("airflow.dag_id", ""), tags["airflow.run_id"]).get("state")
    except BadInput:
        return False
    if state not in ENDED_RUN:
        return True
    # The run's teardown, which closes the MLflow run, may be about to.
    instances = airflow.task_instances(tags["airflow.dag_id"], tags["airflow.run_id"])
    return any(not task.get("end_date") and task.get("state") not in (None, "removed") for task in instances)


def _key(run: Run) -> str:
    return str(run.data.tags.get(RUN_KEY, ""))


def _aliased(tracker: MlflowClient) -> set[str]:
    """The keys of the runs whose versions have an alias."""
    from ml.registry.versions import aliases

    keys: set[str] = set()
    for model in every(tracker.search_registered_models):
        for version in set(aliases(tracker, model.name).values()):
            keys.add(tracker.get_model_version(model.name, version).tags.get(RUN_KEY, ""))
    return keys - {""}


def _object_of(run: Run, bucket: str) -> str:
    """The key of the data set that a run read; empty for none of this bucket's."""
    uri = str(run.data.tags.get("data.uri") or run.data.params.get("data.uri") or "")
    start = f"s3://{bucket}/"
    return unquote(uri.removeprefix(start)) if uri.startswith(start) else ""


def _is_used(key: str, used: set[str]) -> bool:
    """Whether a run read the object, or the folder that it is in."""
    return key in used or any(each and key.startswith(each.rstrip("/") + "/") for each in used)
