"""Everything that the steps import on first use, imported at once: a worker calls this before it forks."""

from __future__ import annotations

import importlib
import io
import os
import pkgutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml

if TYPE_CHECKING:
    import pandas as pd

MODULES: tuple[str, ...] = (
    "encodings.utf_8_sig",
    "git",
    "httpx",
    "mlflow.models.display_utils",
    "mlflow.pyfunc.scoring_server",
    "mlflow.pyfunc.utils.environment",
    "mlflow.system_metrics.metrics.cpu_monitor",
    "mlflow.system_metrics.metrics.disk_monitor",
    "mlflow.system_metrics.metrics.network_monitor",
    "mlflow.tracing.export.async_export_queue",
    "mlflow.tracing.export.utils",
    "mlflow.tracing.processor.base_mlflow",
    "mlflow.tracing.processor.otel",
    "mlflow.tracing.utils.environment",
    "mlflow.tracking.request_header.registry",
    "netrc",
    "opentelemetry.sdk.metrics",
    "PIL.WebPImagePlugin",
    "pyarrow.dataset",
)
"""Of other packages: what neither importing `ml` nor the warm-up brings, and a task imports on its way."""


def preload() -> None:
    """Imports `MODULES` and all of `ml`, and does once what is slow the first time; opens no connection."""
    import_ours()
    for name in MODULES:
        importlib.import_module(name)
    _warm_up()


def import_ours() -> None:
    """Imports all of `ml`."""
    for module in pkgutil.walk_packages(ml.__path__, "ml."):
        importlib.import_module(module.name)


def _warm_up() -> None:
    """Goes through the steps' work on a small table: some libraries import more when they are first used."""
    from ml.config.loading import base_config
    from ml.config.schema import PipelineConfig
    from ml.data import generated
    from ml.errors import PipelineError
    from ml.evaluation import curves, metrics, plots
    from ml.reading import contract
    from ml.training import features as preprocess
    from ml.training.pipeline import build_pipeline

    # A file that cannot be read is told of by whoever needs it.
    with suppress(PipelineError):
        base_config(os.environ.get("TRACKYARD_PIPELINE_FILE"))
    config = PipelineConfig()
    frame = contract.check(generated.generate(60, 1), config, "warm-up")
    roles = preprocess.decide_roles(frame, config)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
    preprocess.split_rows(frame, config)
    pipeline = build_pipeline(config, roles).fit(features, target)
    probability = metrics.probabilities(pipeline, features)
    metrics.metrics(target, probability, "train")
    plots.plots(pipeline, target, probability)
    by_threshold = curves.threshold(target, probability)
    curves.validation(pipeline, features, target, 2, 0)
    importance = curves.importance(pipeline, features, target, 0)
    plots.curve_plots(curves.learning(pipeline, features, target, 0), by_threshold, importance)
    _warm_up_files(pipeline, features)


def _warm_up_files(pipeline: Any, features: pd.DataFrame) -> None:
    import boto3
    import mlflow.sklearn

    from ml.registry import loading, model_logging

    with tempfile.TemporaryDirectory(prefix="trackyard-") as directory:
        folder = Path(directory) / "model"
        mlflow.sklearn.save_model(path=str(folder), **model_logging.saving_options(pipeline, features.head()))
        tags = {loading.SHA256_TAG: loading.sha256_of(folder)}
        loading.load_folder(folder, name="warm-up", version="0", run_id="", tags=tags)
    features.to_parquet(io.BytesIO())
    # Reads boto's description of S3 from disk; the client itself is thrown away.
    boto3.client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106
