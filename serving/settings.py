"""The service's settings, read once from the environment. Light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml.config import load_config
from ml.errors import Misconfigured


@dataclass(frozen=True)
class ServingSettings:
    """Where the service finds things, and its limits.

    Attributes:
        airflow_url: Airflow's address in a browser, for links.
        airflow_username: Its read-only account.
        airflow_password: That account's password.
        mlflow_uri: MLflow's address; its client reads the account from its own variables.
        mlflow_url: MLflow's address in a browser.
        model_name: The registered model whose champion is served.
        airflow_api_url: Airflow's address for the service itself; empty where it is the one for links.
        state_dir: A folder that the service may write: the last verified copy of the model.
        dag_id: The DAG whose runs are reported.
        max_body_bytes: The largest request body, in bytes.
        max_rows: The most rows of one request.
    """

    airflow_url: str
    airflow_username: str
    airflow_password: str = field(repr=False)
    mlflow_uri: str
    mlflow_url: str
    model_name: str
    state_dir: Path
    airflow_api_url: str = ""
    dag_id: str = "Airflow_Lab2"
    max_body_bytes: int = 4 * 2**20
    max_rows: int = 10_000

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ServingSettings:
        """Reads the variables.

        Raises:
            Misconfigured: A variable that has no default is missing, or the pipeline file cannot be used.
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
        return cls(
            airflow_url=environ["TRACKYARD_AIRFLOW_URL"].rstrip("/"),
            airflow_username=environ["TRACKYARD_AIRFLOW_USERNAME"],
            airflow_password=environ["TRACKYARD_AIRFLOW_PASSWORD"],
            mlflow_uri=environ["MLFLOW_TRACKING_URI"],
            mlflow_url=environ.get("TRACKYARD_MLFLOW_URL", environ["MLFLOW_TRACKING_URI"]).rstrip("/"),
            model_name=environ.get("TRACKYARD_MODEL_NAME") or _model_of(environ.get("TRACKYARD_PIPELINE_FILE")),
            state_dir=Path(environ["TRACKYARD_SERVING_STATE"]),
            airflow_api_url=environ.get("TRACKYARD_AIRFLOW_API_URL", "").rstrip("/"),
        )


def _model_of(pipeline_file: str | None) -> str:
    path = Path(pipeline_file) if pipeline_file else None
    return load_config(path if path and path.exists() else None).model.name
