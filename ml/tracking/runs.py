"""The MLflow run of a DAG run: found by its key or opened, filled, and closed. Effects: MLflow alone.

Every function can be called twice: what an earlier try wrote is found and kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ml.digest import digest_of
from ml.errors import Misconfigured, RunClosed, TrackerDown, UnreadableData, one_line
from ml.tracking.outcome import Outcome, error_tags
from ml.tracking.searching import every

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

RUN_KEY = "run_key"
_NAME = 400
"""The characters of a data set's own name; MLflow takes 500 with what follows it."""
_LONGEST_ID = 248
"""Airflow takes ids of 250 characters, and calls a folder of logs `run_id=...`, which may have 255 bytes."""
_MOST_METRICS = 1000
"""As many as MLflow takes in one request."""


def run_key(dag_id: str, run_id: str) -> str:
    """The name of a DAG run that is safe in searches and in S3 keys: 32 hexadecimal digits."""
    return hashlib.sha256(f"{dag_id}|{run_id}".encode()).hexdigest()[:32]


def rollout_id(run_id: str) -> str:
    """The id of the rollout that a DAG run asks for, no longer than Airflow can run one."""
    whole = f"rollout__{run_id}"
    return whole if len(whole) <= _LONGEST_ID else f"{whole[: _LONGEST_ID - 33]}~{run_key('', run_id)}"


@lru_cache(maxsize=4)
def client(uri: str) -> MlflowClient:
    """A client of the MLflow server; the account comes from MLflow's own variables."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient(uri)


@contextlib.contextmanager
def mapped(uri: str) -> Iterator[None]:
    """Turns MLflow's errors into ours: a server that does not answer is worth another try, a refusal is not.

    Raises:
        TrackerDown: The server does not answer, or fails.
        Misconfigured: It refuses the account or the host name.
    """
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        status = error.get_http_status_code() if isinstance(error, MlflowException) else 503
        reason = one_line(error, 300)
        if status in (401, 403):
            raise Misconfigured(
                f"MLflow at {uri} refuses us ({reason}): check the account and --allowed-hosts"
            ) from error
        if status >= 500 or "Max retries exceeded" in reason or "API request to" in reason:
            raise TrackerDown(f"MLflow at {uri} does not answer ({reason}): is it up?") from error
        raise


@contextlib.contextmanager
def suppressed(code: str) -> Iterator[None]:
    """Passes over an error of MLflow's with one code, such as `RESOURCE_DOES_NOT_EXIST`; raises every other."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise


def ensure_experiment(mlflow_client: MlflowClient, name: str) -> str:
    """The id of an experiment, which is made if there is none of that name."""
    experiment = mlflow_client.get_experiment_by_name(name)
    if experiment is None:
        with suppressed("RESOURCE_ALREADY_EXISTS"):
            return str(mlflow_client.create_experiment(name))
        experiment = mlflow_client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        raise UnreadableData(f"the experiment {name!r} was deleted in MLflow: restore it there, or set model.name")
    return str(experiment.experiment_id)


def find_run(mlflow_client: MlflowClient, key: str) -> Run | None:
    """The MLflow run with a key, whichever experiment it is in; the oldest, should a lost answer have made two."""
    experiments = [experiment.experiment_id for experiment in every(mlflow_client.search_experiments)]
    return next(iter(_with_key(mlflow_client, experiments, key)), None)


def run_of_id(mlflow_client: MlflowClient, run_id: str, key: str) -> Run | None:
    """The MLflow run of an id, as long as it is there and has this key."""
    with suppressed("RESOURCE_DOES_NOT_EXIST"):
        run = mlflow_client.get_run(run_id)
        is_there = run.info.lifecycle_stage == "active" and run.data.tags.get(RUN_KEY) == key
        return run if is_there else None
    return None


def _with_key(mlflow_client: MlflowClient, experiments: list[str], key: str) -> list[Run]:
    return list(mlflow_client.search_runs(experiments, f"tags.{RUN_KEY} = '{key}'", order_by=["start_time ASC"]))


def open_run(mlflow_client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> str:
    """Opens the run of a DAG run, or the one that an earlier try opened, and returns its id."""
    run = find_run(mlflow_client, tags[RUN_KEY]) or make_run(mlflow_client, experiment, name, tags)
    return str(run.info.run_id)


def make_run(mlflow_client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> Run:
    """Makes the run of a DAG run that has none yet.

    The server may have made the run of a request whose answer was lost, so runs are looked up once more after one is
    made: the oldest is kept and the others are deleted.
    """
    experiment_id = ensure_experiment(mlflow_client, experiment)
    mlflow_client.create_run(experiment_id, run_name=name, tags=dict(tags))
    kept, *extra = _with_key(mlflow_client, [experiment_id], tags[RUN_KEY])
    for run in extra:
        mlflow_client.delete_run(run.info.run_id)
    return kept


def begin_step(mlflow_client: MlflowClient, run: Run, takes_back: Iterable[str]) -> None:
    """Marks the run as running again and takes back what an earlier, failed try said: the tags of these names."""
    for tag in takes_back:
        if tag in run.data.tags:
            with contextlib.suppress(Exception):
                mlflow_client.delete_tag(run.info.run_id, tag)
    if run.info.status != "RUNNING":
        mlflow_client.update_run(run.info.run_id, status="RUNNING")


def refuse_closed(mlflow_client: MlflowClient, run_id: str) -> None:
    """Raises RunClosed where a run is over: somebody stopped its DAG run, and the task works on for seconds."""
    status = mlflow_client.get_run(run_id).info.status
    if status != "RUNNING":
        raise RunClosed(f"the run was closed as {status} meanwhile: it registers and promotes nothing any more")


def record_error(mlflow_client: MlflowClient, run_id: str, task: str, kind: str, message: str) -> None:
    """Writes to the run which task failed, with which class of error, and what that said in one line."""
    write(mlflow_client, run_id, tags=error_tags(task, kind, message[:5000] or kind))


def write_metrics(mlflow_client: MlflowClient, run: Run, metrics: Mapping[str, float], model_id: str) -> None:
    """Writes metrics to a run and to its logged model, if it has one (else ""); those already there are left alone."""
    fresh = [(name, 0, value) for name, value in metrics.items() if run.data.metrics.get(name) != value]
    log_points(mlflow_client, run.info.run_id, fresh, model_id)


def log_points(
    mlflow_client: MlflowClient, run_id: str, points: Sequence[tuple[str, int, float]], model_id: str = ""
) -> None:
    """Writes points of metrics, each with its name, step and value, to a run and, if one is named, its logged model."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for begin in range(0, len(points), _MOST_METRICS):
        batch = points[begin : begin + _MOST_METRICS]
        metrics = [Metric(name, value, now, step, model_id or None) for name, step, value in batch]
        mlflow_client.log_batch(run_id, metrics=metrics)


def write(
    mlflow_client: MlflowClient,
    run_id: str,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Writes parameters and tags to a run in one request."""
    from mlflow.entities import Param, RunTag

    mlflow_client.log_batch(
        run_id,
        params=[Param(name, text[:6000]) for name, text in (params or {}).items()],
        tags=[RunTag(name, text[:8000]) for name, text in (tags or {}).items()],
    )


@dataclass(frozen=True)
class TableNote:
    """A table that a run used: what to call it, its S3 address, for what (`raw`, `training` or `test`), its target."""

    name: str
    source: str
    context: str
    target: str
    run_key: str


def log_table(mlflow_client: MlflowClient, run_id: str, frame: pd.DataFrame, about: TableNote) -> str:
    """Writes a data set to a run: name, digest, schema, profile and where it is; returns the digest.

    MLflow keeps one entry of each name and digest in an experiment, with the source that it was first written with: so
    writing it again adds nothing, and the name says whose run it is, or later runs of the same data would show an
    earlier one's address.
    """
    import mlflow.data
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.validation import MAX_DATASET_SCHEMA_SIZE

    targets = about.target if about.target in frame.columns else None
    # MLflow warns of whole numbers that could be missing in a request; this is what was read, not what is asked.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        dataset = mlflow.data.from_pandas(  # type: ignore[attr-defined]
            _telling_rows(frame),
            source=resolve_dataset_source(about.source),
            targets=targets,
            name=f"{about.name[:_NAME]} of run {about.run_key[:8]}",
            digest=digest_of(frame),
        )
        entity = dataset._to_mlflow_entity()
    # Of some ten thousand columns MLflow takes no list; the run has them in its profile and its contract.
    schema = entity.schema if len(entity.schema or "") <= MAX_DATASET_SCHEMA_SIZE else None
    profile = json.dumps({"num_rows": len(frame), "num_elements": int(frame.size)})
    entity = Dataset(entity.name, entity.digest, entity.source_type, entity.source, schema, profile)
    tag = InputTag("mlflow.data.context", about.context)
    mlflow_client.log_inputs(run_id, [DatasetInput(dataset=entity, tags=[tag])])
    return str(dataset.digest)


def _telling_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The first row with a value and the first without one, by column: MLflow asks each cell, and finds no more in all.

    The values of a column that was read are of one type.
    """
    missing = frame.isna().to_numpy()
    rows = {*missing.argmax(axis=0).tolist(), *(~missing).argmax(axis=0).tolist()}
    return frame.iloc[sorted(rows)]


def log_files(mlflow_client: MlflowClient, run: Run, files: Mapping[str, bytes], folder: str = "") -> None:
    """Writes files to a run's artefacts, over those of an earlier try.

    MLflow's page of compared runs shows those side by side that are in no folder.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with tempfile.TemporaryDirectory(prefix="trackyard-") as directory:
        for name, content in files.items():
            (Path(directory) / name).write_bytes(content)
        # By its id, MLflow would ask for the run once more.
        to = get_artifact_repository(str(run.info.artifact_uri), tracking_uri=mlflow_client.tracking_uri)
        to.log_artifacts(directory, folder or None)


def close(mlflow_client: MlflowClient, run: Run) -> str:
    """Ends a run with the status that its tags tell, and returns that status."""
    status = Outcome.of(run.data.tags).status
    mlflow_client.set_terminated(run.info.run_id, status)
    return status


def children(mlflow_client: MlflowClient, run: Run) -> list[Run]:
    """The candidates of a run's search."""
    of_this_run = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    return list(mlflow_client.search_runs([run.info.experiment_id], of_this_run, max_results=1000))


def close_children(mlflow_client: MlflowClient, run: Run) -> None:
    """Ends the candidates that a stopped run left running."""
    for child in children(mlflow_client, run):
        if child.info.status == "RUNNING":
            mlflow_client.set_terminated(child.info.run_id, "KILLED")
