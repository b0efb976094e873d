"""The service's settings, read once from the environment. Light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml.config.loading import base_config
from ml.errors import Misconfigured

TOKEN_MODES = ("others", "all", "none")
METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which Prometheus's client finds that folder; `--workers` sets it."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class ServingSettings:
    """Where the service finds things, and its limits.

    Attributes:
        airflow_url: Airflow's address in a browser, for links.
        airflow_username: The service's read-only account in Airflow.
        mlflow_uri: MLflow's address; its client reads the account from its own variables.
        mlflow_url: MLflow's address in a browser, for links.
        model_name: The registered model that `/predict` and the pages are about.
        state_dir: A folder that the service may write: the last verified copies of the models, and the tokens.
        airflow_api_url: Airflow's address for the service itself; `airflow_url` when empty.
        flower_url: Flower's address in a browser, for links; empty for no link.
        webhook_secret: The secret with which MLflow signs its webhooks; empty: none is taken.
        internal_token: The token with which the stack's own parts may read; empty: there is none.
        token_required_for: Who needs a token to read: `others` (whoever is not on this machine), `all`, or `none`.
        allowed_hosts: The names by which the service may be asked, besides those of this machine itself; `*` for any.
        rate_per_s: The requests a second of one token, or one address without; 0: 1000 for others, no limit here.
        dag_id: The DAG whose runs are reported.
        max_body_bytes: The largest request body, in bytes.
        max_rows: The most rows of one request.
        body_timeout_s: How long, in seconds, a body may take to arrive.
        metrics_dir: The folder in which several worker processes count together; None where there is one process.
    """

    airflow_url: str
    airflow_username: str
    airflow_password: str = field(repr=False)
    mlflow_uri: str
    mlflow_url: str
    model_name: str
    state_dir: Path
    airflow_api_url: str = ""
    flower_url: str = ""
    webhook_secret: str = field(default="", repr=False)
    internal_token: str = field(default="", repr=False)
    token_required_for: str = "others"  # noqa: S105 - who needs one
    allowed_hosts: tuple[str, ...] = ()
    rate_per_s: int = 0
    dag_id: str = "Airflow_Lab2"
    max_body_bytes: int = 4 * 2**20
    max_rows: int = 10_000
    body_timeout_s: float = 10.0
    metrics_dir: Path | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ServingSettings:
        """Reads the variables.

        Raises:
            Misconfigured: A variable that has no default is missing, has a value that cannot be used, or the pipeline
                file cannot be used.
        """
        names = (
            "TRACKYARD_AIRFLOW_URL",
            "TRACKYARD_AIRFLOW_USERNAME",
            "TRACKYARD_AIRFLOW_PASSWORD",
            "MLFLOW_TRACKING_URI",
            "TRACKYARD_SERVING_STATE",
        )
        missing = [name for name in names if not environ.get(name)]
        if missing:
            raise Misconfigured(f"{', '.join(missing)} is not set: the stack sets it; elsewhere export it first")
        hosts = environ.get("TRACKYARD_SERVING_HOSTS", "").split(",")
        airflow_url = environ["TRACKYARD_AIRFLOW_URL"].rstrip("/")
        return cls(
            airflow_url=airflow_url,
            airflow_api_url=(environ.get("TRACKYARD_AIRFLOW_API_URL") or airflow_url).rstrip("/"),
            airflow_username=environ["TRACKYARD_AIRFLOW_USERNAME"],
            airflow_password=environ["TRACKYARD_AIRFLOW_PASSWORD"],
            mlflow_uri=environ["MLFLOW_TRACKING_URI"],
            mlflow_url=environ.get("TRACKYARD_MLFLOW_URL", environ["MLFLOW_TRACKING_URI"]).rstrip("/"),
            flower_url=environ.get("TRACKYARD_FLOWER_URL", "").rstrip("/"),
            model_name=environ.get("TRACKYARD_MODEL_NAME")
            or base_config(environ.get("TRACKYARD_PIPELINE_FILE")).model.name,
            state_dir=Path(environ["TRACKYARD_SERVING_STATE"]),
            webhook_secret=environ.get("TRACKYARD_WEBHOOK_SECRET", ""),
            internal_token=environ.get("TRACKYARD_SERVING_TOKEN", ""),
            token_required_for=_mode(environ.get("TRACKYARD_SERVING_TOKENS") or "others"),
            allowed_hosts=tuple(name.strip().lower() for name in hosts if name.strip()),
            rate_per_s=_whole(environ, "TRACKYARD_SERVING_RATE"),
            metrics_dir=Path(environ[METRICS_DIR]) if environ.get(METRICS_DIR) else None,
        )

    @property
    def token_file(self) -> Path:
        """The file with the tokens' hashes."""
        return self.state_dir / "tokens.json"


def _mode(text: str) -> str:
    if text not in TOKEN_MODES:
        raise Misconfigured(f"TRACKYARD_SERVING_TOKENS is {text!r}: it must be {', '.join(TOKEN_MODES[:2])} or none")
    return text


def _whole(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name) or "0"
    if not text.isdecimal():
        raise Misconfigured(f"{name} is {text!r}: it must be a whole number")
    return int(text)
