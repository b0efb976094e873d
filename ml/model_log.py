"""Logging a fitted Pipeline to MLflow once per run, and reading it back before anything points at it. Effects: MLflow.

The registry shows a version as ready the moment its row is there, whatever its file is like; so the file is read back
and its predictions compared before the version is made.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import HashMismatch
from ml.load import MODEL_FILE, TRUSTED_TYPES, download, load_folder, sha256_of

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

_EXAMPLE_ROWS = 5
_NEEDED = ("mlflow", "scikit-learn", "skops", "pandas", "numpy", "scipy")


@dataclass(frozen=True)
class LoggedFile:
    """A logged model and the sha256 of its file."""

    model_id: str
    sha256: str


def log_once(client: MlflowClient, run_id: str, pipeline: Any, features: pd.DataFrame) -> LoggedFile:
    """Logs a fitted Pipeline to a run; what an earlier try left is taken away first.

    Args:
        client: An MLflow client.
        run_id: The MLflow run.
        pipeline: The fitted Pipeline.
        features: What it was fitted on, of shape (n_rows, n_features); its first rows become the input example.

    Raises:
        HashMismatch: What was read back does not predict what was logged.
    """
    _remove_leftovers(client, run_id)
    example = features.head(_EXAMPLE_ROWS)
    model_id = _log(run_id, pipeline, example)
    with tempfile.TemporaryDirectory(prefix="trackyard-") as directory:
        folder = Path(directory)
        download(client, f"models:/{model_id}", folder)
        sha256 = sha256_of(folder)
        read_back = load_folder(
            folder, name=f"logged model {model_id}", version="", run_id=run_id, tags={"model.sha256": sha256}
        )
        if (read_back.pipeline.predict_proba(example) != pipeline.predict_proba(example)).any():
            raise HashMismatch(f"logged model {model_id}: {MODEL_FILE} read back predicts something else")
    return LoggedFile(model_id, sha256)


def _log(run_id: str, pipeline: Any, example: pd.DataFrame) -> str:
    import mlflow.sklearn
    from mlflow.models import Model, infer_signature

    # Named from what is installed, which is the lock file: MLflow's own search starts a second Python and takes 13 s.
    requirements = [f"{package}=={installed(package)}" for package in _NEEDED]
    info = Model.log(
        artifact_path=None,
        name="model",
        flavor=mlflow.sklearn,
        run_id=run_id,
        sk_model=pipeline,
        serialization_format="skops",
        skops_trusted_types=list(TRUSTED_TYPES),
        # The probabilities, shape (n_rows, 2): what any other server of this model answers too.
        pyfunc_predict_fn="predict_proba",
        signature=infer_signature(example, pipeline.predict_proba(example)),
        input_example=example,
        pip_requirements=requirements,
        model_type="classifier",
    )
    return str(info.model_id)


def _remove_leftovers(client: MlflowClient, run_id: str) -> None:
    experiment = client.get_run(run_id).info.experiment_id
    for model in client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'"):
        log.info("model_id=%s status=%s is left from an earlier try and removed", model.model_id, model.status)
        client.delete_logged_model(model.model_id)
