"""Everything that the steps import on first use, imported at once: a worker calls this before it forks."""

from __future__ import annotations

import importlib
import logging

log = logging.getLogger(__name__)

MODULES: tuple[str, ...] = (
    "boto3",
    "botocore.exceptions",
    "httpx",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow",
    "mlflow.artifacts",
    "mlflow.data",
    "mlflow.data.pandas_dataset",
    "mlflow.models",
    "mlflow.sklearn",
    "mlflow.store.artifact.mlflow_artifacts_repo",
    "mlflow.store.artifact.models_artifact_repo",
    "mlflow.tracking.client",
    "pandas",
    "pandera.pandas",
    "pyarrow.parquet",
    "skops.io",
    "sklearn.calibration",
    "sklearn.compose",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "ml.contract",
    "ml.evaluate",
    "ml.generate",
    "ml.load",
    "ml.model_log",
    "ml.plots",
    "ml.preprocess",
    "ml.read",
    "ml.registry",
    "ml.report",
    "ml.rollout",
    "ml.steps",
    "ml.storage",
    "ml.tracking",
)
"""The roots; importing them brings the rest."""


def preload() -> None:
    """Imports `MODULES` and does once what is slow the first time; opens no connection."""
    for name in MODULES:
        importlib.import_module(name)
    _warm_up()


def _warm_up() -> None:
    """Goes through the steps' work on a small table: some libraries import more when they are first used."""
    from ml import contract, evaluate, generate, plots, preprocess
    from ml.config import PipelineConfig

    config = PipelineConfig()
    frame = contract.check(generate.generate(60, 1), config, "warm-up")
    roles = preprocess.decide_roles(frame, config)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
    preprocess.split_rows(frame, config)
    pipeline = preprocess.build_pipeline(config, roles).fit(features, target)
    probability = evaluate.probabilities(pipeline, features)
    evaluate.metrics(target, probability, "train")
    plots.plots(pipeline, target, probability)
    _warm_up_files(pipeline, features)


def _warm_up_files(pipeline: object, features: object) -> None:
    import io

    import boto3
    import skops.io
    from mlflow.models import infer_signature

    skops.io.loads(skops.io.dumps(pipeline), trusted=["numpy.dtype"])
    infer_signature(features)
    features.to_parquet(io.BytesIO())  # type: ignore[attr-defined]
    # Reads boto's description of S3 from disk; the client itself is thrown away.
    boto3.client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
