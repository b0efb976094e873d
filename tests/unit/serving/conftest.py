"""A model that was really trained and stored, and boards that ask nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.sklearn
import pytest

from ml.config.schema import PipelineConfig
from ml.data.generated import generate
from ml.registry import loading, model_logging
from ml.registry.loading import LoadedModel
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline
from serving.settings import ServingSettings


def stored(folder: Path, seed: int = 1) -> dict[str, str]:
    """Stores a model as the pipeline does and returns the tags of its version."""
    config = PipelineConfig()
    frame = generate(200, seed)
    roles = preprocess.decide_roles(frame, config)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
    pipeline = build_pipeline(config, roles).fit(features, target)
    mlflow.sklearn.save_model(path=str(folder), **model_logging.saving_options(pipeline, features.head()))
    return {loading.SHA256_TAG: loading.sha256_of(folder)}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored model's folder."""
    return tmp_path_factory.mktemp("model") / "model"


@pytest.fixture(scope="session")
def tags(folder: Path) -> dict[str, str]:
    """The tags of its version."""
    return stored(folder)


@pytest.fixture(scope="session")
def model(folder: Path, tags: dict[str, str]) -> LoadedModel:
    """That model, loaded."""
    return loading.load_folder(folder, name="ad-click", version="7", run_id="r7", tags=tags)


@pytest.fixture
def settings(tmp_path: Path) -> ServingSettings:
    """Settings whose servers are nowhere."""
    return ServingSettings(
        airflow_url="http://127.0.0.1:9",
        airflow_username="status",
        airflow_password="x",
        mlflow_uri="http://127.0.0.1:9",
        mlflow_url="http://127.0.0.1:9",
        model_name="ad-click",
        state_dir=tmp_path / "state",
        max_body_bytes=200_000,
        max_rows=1000,
    )


class Airflow:
    """Airflow as the board sees it: what a test puts in, or an error."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.asked = 0

    def add(self, run_id: str, state: str) -> None:
        """Adds a run that is newer than those before."""
        self.runs.insert(
            0,
            {
                "dag_run_id": run_id, "state": state, "run_after": f"2026-01-01T00:00:{len(self.runs):02}Z",
                "start_date": "2026-01-01T00:00:00Z",
                "end_date": None if state == "running" else "2026-01-01T00:00:09Z",
                "duration": 9.0, "triggered_by": "rest_api",
            },
        )  # fmt: skip

    def dag_runs(
        self, dag_id: str, limit: int = 25, order_by: str = "-run_after", state: str | None = None, offset: int = 0
    ) -> list[dict[str, Any]]:
        self.asked += 1
        if self.error:
            raise self.error
        found = [run for run in self.runs if state in (None, run["state"])]
        return found[offset : offset + limit]

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        running = next(run for run in self.runs if run["dag_run_id"] == run_id)["state"] == "running"
        return [
            {
                "task_id": "load_data_task", "state": "running" if running else "success", "duration": 1.5,
                "start_date": "2026-01-01T00:00:00Z", "end_date": None if running else "2026-01-01T00:00:02Z",
                "try_number": 1,
            }
        ]  # fmt: skip
