"""Where a task finds MLflow, S3 and the pages to link to; read from the environment at an entry point. Light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml.errors import Misconfigured


@dataclass(frozen=True)
class TaskSettings:
    """The addresses that a step needs.

    Attributes:
        mlflow_uri: MLflow's address; its client reads the account from its own variables.
        s3_endpoint: The S3 address, empty for AWS.
        bucket: The bucket that intermediates and uploaded data sets are kept in.
        data_buckets: The buckets that data may be read from.
        airflow_url: Airflow's address in a browser.
        mlflow_url: MLflow's address in a browser.
        serving_url: The service's address in a browser.
        pipeline_file: The file whose values are the defaults, or None for the built-in ones.
        git_commit: The commit of the code, empty when unknown.
    """

    mlflow_uri: str
    s3_endpoint: str
    bucket: str
    data_buckets: tuple[str, ...]
    airflow_url: str
    mlflow_url: str
    serving_url: str
    pipeline_file: Path | None
    git_commit: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> TaskSettings:
        """Reads the variables.

        Raises:
            Misconfigured: A variable that has no default is missing; it is named.
        """
        bucket = _need(environ, "TRACKYARD_S3_BUCKET")
        mlflow_uri = _need(environ, "MLFLOW_TRACKING_URI")
        buckets = tuple(name.strip() for name in environ.get("TRACKYARD_DATA_BUCKETS", "").split(",") if name.strip())
        pipeline_file = environ.get("TRACKYARD_PIPELINE_FILE")
        return cls(
            mlflow_uri=mlflow_uri,
            s3_endpoint=environ.get("TRACKYARD_S3_ENDPOINT", ""),
            bucket=bucket,
            data_buckets=buckets or (bucket,),
            airflow_url=environ.get("TRACKYARD_AIRFLOW_URL", "http://localhost:8080").rstrip("/"),
            mlflow_url=environ.get("TRACKYARD_MLFLOW_URL", mlflow_uri).rstrip("/"),
            serving_url=environ.get("TRACKYARD_SERVING_URL", "http://localhost:5555").rstrip("/"),
            pipeline_file=Path(pipeline_file) if pipeline_file else None,
            git_commit=environ.get("TRACKYARD_GIT_COMMIT", ""),
        )


def _need(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    if not value:
        raise Misconfigured(f"{name} is not set: the stack sets it for its parts; elsewhere export it first")
    return value
