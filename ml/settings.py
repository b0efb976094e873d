"""Where a task finds MLflow, S3 and the pages to link to; read from the environment at an entry point. Light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml.errors import Misconfigured


@dataclass(frozen=True)
class TaskSettings:
    """The addresses that a step needs; each `..._url` is one in a browser.

    Attributes:
        mlflow_uri: MLflow's address; its client reads the account from its own variables.
        s3_endpoint: The S3 address, empty for AWS.
        bucket: The bucket that intermediates and uploaded data sets are kept in.
        data_buckets: The buckets that data may be read from.
        pipeline_file: The file whose values are the defaults, or None for the built-in ones.
        git_commit: The commit of the code, empty when unknown.
        data_hosts: The hosts, `name` or `name:port`, that data may be fetched from over http(s).
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
    data_hosts: tuple[str, ...]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> TaskSettings:
        """Reads the variables; `Misconfigured` names one that has no default and is missing."""
        bucket = _need(environ, "TRACKYARD_S3_BUCKET")
        mlflow_uri = _need(environ, "MLFLOW_TRACKING_URI")
        allowed = allowed_sources(environ)
        pipeline_file = environ.get("TRACKYARD_PIPELINE_FILE")
        return cls(
            mlflow_uri=mlflow_uri,
            s3_endpoint=environ.get("TRACKYARD_S3_ENDPOINT", ""),
            bucket=bucket,
            data_buckets=allowed.buckets,
            airflow_url=environ.get("TRACKYARD_AIRFLOW_URL", "http://localhost:8080").rstrip("/"),
            mlflow_url=environ.get("TRACKYARD_MLFLOW_URL", mlflow_uri).rstrip("/"),
            serving_url=environ.get("TRACKYARD_SERVING_URL", "http://localhost:5555").rstrip("/"),
            pipeline_file=Path(pipeline_file) if pipeline_file else None,
            git_commit=environ.get("TRACKYARD_GIT_COMMIT", ""),
            data_hosts=allowed.hosts,
        )


def allowed_sources(environ: Mapping[str, str]) -> Allowed:
    """Where data may come from, as `TRACKYARD_DATA_BUCKETS` and `TRACKYARD_DATA_HOSTS` say; both may be empty."""
    buckets = _listed(environ, "TRACKYARD_DATA_BUCKETS")
    hosts = tuple(name.lower().rstrip(".") for name in _listed(environ, "TRACKYARD_DATA_HOSTS"))
    return Allowed(buckets or tuple(filter(None, [environ.get("TRACKYARD_S3_BUCKET")])), hosts)


def _listed(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in environ.get(name, "").split(",") if word.strip())


def _need(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    if not value:
        raise Misconfigured(f"{name} is not set: the stack sets it for its parts; elsewhere export it first")
    return value


@dataclass(frozen=True)
class Allowed:
    """Where data may come from: S3 buckets, and hosts of `http(s)://`, `name` or `name:port`, in small letters."""

    buckets: tuple[str, ...]
    hosts: tuple[str, ...] = ()
