"""The registry as MLflow's own client tells it, over a store without a server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ml.errors import TrackerDown
from ml.load import SHA256_TAG
from serving.registry_client import Champion, MlflowRegistry

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    import mlflow

    before = mlflow.get_tracking_uri()
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/mlflow.db"
        mlflow.set_tracking_uri(before)


@pytest.fixture
def client(store: str) -> MlflowClient:
    import mlflow

    mlflow.set_tracking_uri(store)
    return mlflow.MlflowClient(store)


def test_a_model_that_there_is_not_has_no_champion_and_no_versions(store: str, client: MlflowClient) -> None:
    registry = MlflowRegistry(store)

    assert registry.champions().get("nothing") is None
    assert registry.versions("nothing") == []


@pytest.fixture
def name(client: MlflowClient, request: pytest.FixtureRequest) -> str:
    found = str(request.node.name)[:60]
    client.create_registered_model(found)
    return found


@pytest.fixture
def made(client: MlflowClient, name: str) -> list[str]:
    """Two versions, the first of them judged."""
    tags = {SHA256_TAG: "abc", "validation": "passed", "airflow.run_id": "manual_1"}
    return [_registered(client, name, **tags), _registered(client, name)]


def _registered(client: MlflowClient, name: str, **tags: str) -> str:
    found = client.get_experiment_by_name("e")
    run = client.create_run(found.experiment_id if found else client.create_experiment("e"))
    client.log_metric(run.info.run_id, "test_roc_auc", 0.98)
    client.log_metric(run.info.run_id, "train_roc_auc", float("inf"))
    return str(client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id, tags=tags).version)


def test_the_champion_comes_with_its_hash_and_every_alias(
    store: str, client: MlflowClient, name: str, made: list[str]
) -> None:
    registry = MlflowRegistry(store)
    assert registry.champions()[name] is None

    client.set_registered_model_alias(name, "champion", made[0])
    client.set_registered_model_alias(name, "challenger", made[0])
    client.set_registered_model_alias(name, "previous_champion", made[1])

    assert registry.champions()[name] == Champion(made[0], "abc", ("challenger", "champion"))
    client.set_registered_model_alias(name, "champion", made[1])
    assert registry.champions()[name] == Champion(made[1], "", ("champion", "previous_champion"))


def test_versions_come_newest_first_with_aliases_and_finite_metrics(
    store: str, client: MlflowClient, name: str, made: list[str]
) -> None:
    client.set_registered_model_alias(name, "champion", made[0])

    newest, oldest = MlflowRegistry(store).versions(name)

    assert (newest["version"], newest["aliases"], newest["validation"]) == (made[1], [], None)
    assert (oldest["version"], oldest["aliases"], oldest["validation"]) == (made[0], ["champion"], "passed")
    assert oldest["dag_run_id"] == "manual_1"
    assert oldest["metrics"]["test_roc_auc"] == 0.98
    assert "train_roc_auc" not in oldest["metrics"] or oldest["metrics"]["train_roc_auc"] < float("inf")


def test_a_server_that_is_away_is_an_outage_that_names_it(
    monkeypatch: pytest.MonkeyPatch, client: MlflowClient
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    registry = MlflowRegistry("http://127.0.0.1:9")

    for ask in (registry.champions, lambda: registry.versions("m")):
        with pytest.raises(TrackerDown, match=r"127\.0\.0\.1:9"):
            ask()
