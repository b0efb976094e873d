"""A model that was really trained and stored, and the service over monitors that ask nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ml.registry import loading
from ml.registry.loading import LoadedModel
from serving.models.repository import ModelRepository
from serving.server import Server
from serving.settings import ServingSettings
from tests.fakes import Client, Registry, Service, service_of, stored


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


@pytest.fixture
def repository(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> ModelRepository:
    """Models of which version 7 is live."""
    registry = Registry(folder, tags)
    registry.aliases_now = {"champion": "7"}
    found = ModelRepository(registry, "ad-click", settings.state_dir)
    found.refresh()
    return found


@pytest.fixture
def client(settings: ServingSettings, repository: ModelRepository) -> Client:
    """Asks the service in which that version is live."""
    return Client(service_of(settings, repository))


@pytest.fixture
def server(settings: ServingSettings, repository: ModelRepository) -> Server:
    """That service, which waits a moment for a body."""
    return service_of(replace(settings, body_timeout_s=0.3), repository)


@pytest.fixture
def service(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> Service:
    """The service before anything is known."""
    return Service(settings, folder, tags)
