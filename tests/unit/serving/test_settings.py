"""The service's settings come from the environment, and a missing one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import Misconfigured
from serving.settings import ServingSettings

GIVEN = {
    "TRACKYARD_AIRFLOW_URL": "http://127.0.0.1:8080/",
    "TRACKYARD_AIRFLOW_USERNAME": "status",
    "TRACKYARD_AIRFLOW_PASSWORD": "a-secret-word",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
    "TRACKYARD_SERVING_STATE": "/tmp/state",
}


def test_defaults_fill_what_is_not_given() -> None:
    found = ServingSettings.from_env(GIVEN)

    assert found.airflow_url == "http://127.0.0.1:8080"
    assert found.mlflow_url == "http://127.0.0.1:5000"
    assert found.model_name == "ad-click"
    assert found.state_dir == Path("/tmp/state")


def test_what_is_given_wins() -> None:
    given = {**GIVEN, "TRACKYARD_MLFLOW_URL": "https://mlflow.example/", "TRACKYARD_MODEL_NAME": "other"}

    found = ServingSettings.from_env(given)

    assert (found.mlflow_url, found.model_name) == ("https://mlflow.example", "other")


def test_the_model_is_the_one_of_the_pipeline_file(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("model: {name: churn}\n")

    assert ServingSettings.from_env({**GIVEN, "TRACKYARD_PIPELINE_FILE": str(path)}).model_name == "churn"


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        ServingSettings.from_env({**GIVEN, name: ""})


def test_the_password_is_not_shown() -> None:
    assert "a-secret-word" not in repr(ServingSettings.from_env(GIVEN))
