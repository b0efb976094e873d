"""The registry as MLflow's own server tells it, asked without a network."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from ml.registry.loading import SHA256_TAG
from serving.models.loader import Loader
from serving.upstream.registry import Candidate, Champion, MlflowRegistry

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
def registry(store: str, monkeypatch: pytest.MonkeyPatch) -> MlflowRegistry:
    """What is asked of MLflow's real server, which answers in this process."""
    from mlflow.server import app, handlers
    from mlflow.tracking._model_registry import utils

    # The server names its registry for the whole process.
    monkeypatch.setattr(utils, "_registry_uri", store)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", store)
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", store)
    monkeypatch.setenv("_MLFLOW_SERVER_REGISTRY_STORE", store)
    monkeypatch.setattr(handlers, "_tracking_store", None)
    monkeypatch.setattr(handlers, "_model_registry_store", None)
    return MlflowRegistry("http://localhost", (Loader(), Loader()), httpx.WSGITransport(app=app))


@pytest.fixture
def client(store: str) -> MlflowClient:
    import mlflow

    mlflow.set_tracking_uri(store)
    return mlflow.MlflowClient(store)


def test_a_model_that_there_is_not_has_no_champion_and_no_versions(registry: MlflowRegistry) -> None:
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
    registry: MlflowRegistry, client: MlflowClient, name: str, made: list[str]
) -> None:
    assert registry.champions()[name] is None

    client.set_registered_model_alias(name, "champion", made[0])
    client.set_registered_model_alias(name, "challenger", made[0])
    client.set_registered_model_alias(name, "previous_champion", made[1])

    found = registry.champions()[name]
    assert found == Champion(made[0], None, ("challenger", "champion"))
    run_id = client.get_model_version(name, made[0]).run_id
    assert registry.complete(name, found) == Champion(made[0], "abc", ("challenger", "champion"), run_id)
    assert registry.champions()[name] == Champion(made[0], "abc", ("challenger", "champion"), run_id)
    client.set_registered_model_alias(name, "champion", made[1])
    newest = client.get_model_version(name, made[1]).run_id
    assert registry.champions()[name] == Champion(made[1], "", ("champion", "previous_champion"), newest)


def test_a_model_that_is_made_anew_under_its_name_is_another(
    registry: MlflowRegistry, client: MlflowClient, name: str, made: list[str]
) -> None:
    client.set_registered_model_alias(name, "champion", made[0])
    before = registry.champions()[name]
    assert before
    first = registry.complete(name, before)
    client.delete_registered_model(name)
    assert registry.is_gone(name)
    client.create_registered_model(name)
    again = [_registered(client, name, **{SHA256_TAG: "def"}), _registered(client, name)]
    client.set_registered_model_alias(name, "champion", again[0])

    found = registry.champions()[name]

    assert again == made
    assert found == Champion(made[0], None, ("champion",))
    second = registry.complete(name, found)
    assert (first.sha256, second.sha256) == ("abc", "def")
    assert first.run_id != second.run_id


@pytest.mark.parametrize("quoted", ["bug-o'brien", 'say "hi"', "both ' and \"", "back\\slash", "a' and name = 'b"])
def test_a_model_may_have_quotes_in_its_name(registry: MlflowRegistry, client: MlflowClient, quoted: str) -> None:
    client.create_registered_model(quoted)
    version = _registered(client, quoted)

    assert [one["version"] for one in registry.versions(quoted)] == [version]


def test_versions_are_told_with_few_questions(client: MlflowClient, registry: MlflowRegistry, name: str) -> None:
    for _ in range(15):
        _registered(client, name)
    asked: list[httpx.Request] = []
    registry._http._http.event_hooks["request"].append(asked.append)

    found = registry.versions(name)

    assert [one["metrics"]["test_roc_auc"] for one in found] == [0.98] * 15
    assert len(asked) == 4


def test_versions_come_newest_first_with_aliases_and_finite_metrics(
    registry: MlflowRegistry, client: MlflowClient, name: str, made: list[str]
) -> None:
    client.set_registered_model_alias(name, "champion", made[0])

    newest, oldest = registry.versions(name)

    assert (newest["version"], newest["aliases"], newest["validation"]) == (made[1], [], None)
    assert (oldest["version"], oldest["aliases"], oldest["validation"]) == (made[0], ["champion"], "passed")
    assert oldest["dag_run_id"] == "manual_1"
    assert oldest["metrics"]["test_roc_auc"] == 0.98
    assert "train_roc_auc" not in oldest["metrics"] or oldest["metrics"]["train_roc_auc"] < float("inf")


def test_versions_that_were_seen_are_candidates_if_they_carry_a_hash(
    registry: MlflowRegistry, name: str, made: list[str]
) -> None:
    registry.champions()
    registry.versions(name)

    assert [each for each in registry.candidates() if each.name == name] == [
        Candidate(name, made[0], "abc", registry.versions(name)[1]["run_id"])
    ]


def test_a_prompt_is_no_model(registry: MlflowRegistry, client: MlflowClient) -> None:
    client.register_prompt("greeting", "Hello {{name}}")

    assert "greeting" not in registry.champions()


def test_a_run_that_is_gone_has_no_metrics(registry: MlflowRegistry) -> None:
    assert registry.metrics("0" * 32) == {}
    assert registry.metrics("") == {}
