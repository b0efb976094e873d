"""Logging a fitted Pipeline to MLflow once per run, and reading it back before anything points at it. Effects: MLflow.

The registry shows a version as ready the moment its row is there, whatever its file is like; so the file is read back
and its predictions compared before the version is made.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import HashMismatch, Untrusted
from ml.registry.loading import MODEL_FILE, READINGS, SHA256_TAG, TRUSTED_TYPES, download, load_folder, sha256_of
from ml.registry.serving_check import TOLERANCE
from ml.values import Column

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.models import ModelSignature

log = logging.getLogger(__name__)

_EXAMPLE_ROWS = 5
_NEEDED = ("mlflow", "scikit-learn", "skops", "pandas", "numpy", "scipy")


@dataclass(frozen=True)
class LoggedFile:
    """A logged model, the sha256 of its file, and the probabilities of its input example as JSON."""

    model_id: str
    sha256: str
    example: str


def log_once(
    client: MlflowClient, run: Run, pipeline: Any, features: pd.DataFrame, readings: Mapping[str, Any] | None = None
) -> LoggedFile:
    """Logs a fitted Pipeline to a run, unless an earlier try did so and what it logged reads back.

    The features, of shape (n_rows, n_features), are what it was fitted on; their first rows become the input example.
    The readings are what `readings_of` gives.

    Raises:
        HashMismatch: What was read back does not predict what was logged.
    """
    example = features.head(_EXAMPLE_ROWS)
    of_this_run = f"source_run_id = '{run.info.run_id}'"
    for left in client.search_logged_models([run.info.experiment_id], filter_string=of_this_run):
        if str(left.status) == "READY":
            with suppress(Untrusted):
                return _read_back(client, left.model_id, pipeline, example)
        log.info("model_id=%s status=%s is what a broken try left, and is removed", left.model_id, left.status)
        client.delete_logged_model(left.model_id)
    return _read_back(client, _log(client, run, pipeline, example, readings), pipeline, example)


def _read_back(client: MlflowClient, model_id: str, pipeline: Any, example: pd.DataFrame) -> LoggedFile:
    what = f"logged model {model_id}"
    with tempfile.TemporaryDirectory(prefix="trackyard-") as directory:
        folder = Path(directory)
        download(client, f"models:/{model_id}", folder)
        if not (folder / MODEL_FILE).is_file():
            raise Untrusted(f"{what} has no {MODEL_FILE}")
        sha256 = sha256_of(folder)
        loaded = load_folder(folder, name=what, version="", run_id="", tags={SHA256_TAG: sha256})
    read_back = loaded.pipeline.predict_proba(example)
    # The model of an earlier try has the same data and parameters; its last digits may come from another machine.
    if abs(read_back - pipeline.predict_proba(example)).max() > TOLERANCE:
        raise HashMismatch(f"{what}: {MODEL_FILE} read back predicts something else")
    return LoggedFile(model_id, sha256, json.dumps(read_back[:, 1].tolist()))


def _log(
    client: MlflowClient, run: Run, pipeline: Any, example: pd.DataFrame, readings: Mapping[str, Any] | None
) -> str:
    import mlflow.sklearn
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    # Left to itself, MLflow makes the model in the default experiment, where nobody who compares runs would see it.
    made = client.create_logged_model(
        run.info.experiment_id,
        name="model",
        source_run_id=run.info.run_id,
        params=dict(run.data.params),
        model_type="classifier",
    )
    client.log_outputs(run.info.run_id, [LoggedModelOutput(made.model_id, step=0)])
    described = Model(made.artifact_location, run.info.run_id, model_uuid=made.model_id, model_id=made.model_id)
    # MLflow's own `Model.log` asks for each metric that the run has, and starts a server's code to try the example.
    with tempfile.TemporaryDirectory(prefix="trackyard-") as directory:
        options = saving_options(pipeline, example, readings)
        mlflow.sklearn.save_model(path=f"{directory}/model", mlflow_model=described, **options)
        to = get_artifact_repository(made.artifact_location, tracking_uri=client.tracking_uri)
        to.log_artifacts(f"{directory}/model")
    client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    return str(made.model_id)


def readings_of(columns: Iterable[Column], commas: bool) -> dict[str, Any]:
    """How the model's columns are read, as plain values that its MLmodel file keeps under `loading.READINGS`."""
    return {"columns": {column.name: column.as_dict() for column in columns}, "commas": commas}


def saving_options(pipeline: Any, example: pd.DataFrame, readings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """How a fitted Pipeline is saved with a few rows of its features, as arguments of `mlflow.sklearn.save_model`."""
    return {
        "sk_model": pipeline,
        "serialization_format": "skops",
        "skops_trusted_types": list(TRUSTED_TYPES),
        # The probabilities, shape (n_rows, 2): what any other server of this model answers too.
        "pyfunc_predict_fn": "predict_proba",
        "signature": _signature(example, pipeline),
        "input_example": example,
        "metadata": {READINGS: json.dumps(readings)} if readings else None,
        # Named from what is installed, which is the lock file: MLflow's own search starts a second Python, 13 s.
        "pip_requirements": [f"{package}=={installed(package)}" for package in _NEEDED],
    }


def _signature(example: pd.DataFrame, pipeline: Any) -> ModelSignature:
    """The columns by what they are to the model: a guess from rows takes a text that is missing there for a number."""
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, DataType, Schema

    inputs = [
        ColSpec(DataType.double if values.dtype.kind == "f" else DataType.string, str(name), required=False)
        for name, values in example.items()
    ]
    return ModelSignature(Schema(inputs), infer_signature(example, pipeline.predict_proba(example)).outputs)
