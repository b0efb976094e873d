"""Several models side by side, and how often MLflow is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml.errors import HashMismatch, PipelineError, TrackerDown
from ml.registry.loading import SHA256_TAG
from serving.models.repository import POLL_S, ModelRepository
from serving.upstream.registry import Champion, MlflowRegistry
from tests.fakes import Clock, Registry


class Several(Registry):
    """A registry with more than one model."""

    more: dict[str, str | None]

    def champions(self) -> dict[str, Champion | None]:
        found = super().champions()
        others = {
            name: version and Champion(version, self.tags[SHA256_TAG], (), "r") for name, version in self.more.items()
        }
        return {**others, **found}


@pytest.fixture
def registry(folder: Path, tags: dict[str, str]) -> Several:
    found = Several(folder, tags)
    found.more = {"churn": "3", "idle": None}
    found.aliases_now = {"champion": "1"}
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repository(registry: Several, tmp_path: Path, clock: Clock) -> ModelRepository:
    return ModelRepository(registry, "ad-click", tmp_path / "state", clock)


def live(repository: ModelRepository) -> dict[str, str | None]:
    return {name: slot.live and slot.live.loaded.version for name, slot in repository.slots.items()}


def test_every_model_with_a_champion_is_served(repository: ModelRepository) -> None:
    repository.refresh()

    assert live(repository) == {"ad-click": "1", "churn": "3"}


def test_a_model_that_cannot_be_loaded_holds_no_other_up(repository: ModelRepository, registry: Several) -> None:
    registry.more = {"broken": "9", "churn": "3"}
    fetch = registry.fetch

    def fetch_all_but_one(name: str, version: str, folder: Path) -> None:
        if name == "broken":
            raise RuntimeError("no file")
        fetch(name, version, folder)

    registry.fetch = fetch_all_but_one  # type: ignore[method-assign, assignment]
    repository.refresh()

    assert live(repository) == {"ad-click": "1", "broken": None, "churn": "3"}
    assert "no file" in str(repository.slots["broken"].error)


def test_while_nothing_changes_one_question_is_asked_a_tick(
    repository: ModelRepository, registry: Several, clock: Clock
) -> None:
    for _ in range(10):
        clock.now += 1
        repository.refresh()
    registry.asked.clear()
    for _ in range(30):
        clock.now += 1
        repository.refresh()

    assert registry.asked == ["champions"] * 30


def test_versions_are_asked_again_when_an_alias_moves_and_once_more_a_little_later(
    repository: ModelRepository, registry: Several, clock: Clock
) -> None:
    repository.refresh()
    registry.asked.clear()
    registry.aliases_now = {"champion": "2"}
    for _ in range(6):
        repository.refresh()
        clock.now += 1

    assert registry.asked.count("versions ad-click") == 2
    assert live(repository)["ad-click"] == "2"


def test_every_model_starts_from_its_copy_when_mlflow_is_away(
    repository: ModelRepository, registry: Several, tmp_path: Path
) -> None:
    repository.refresh()
    registry.error = TrackerDown("away")
    again = ModelRepository(registry, "ad-click", tmp_path / "state")
    again.refresh()

    assert live(again) == {"ad-click": "1", "churn": "3"}
    assert again.upstream_error == "away"


def test_a_webhook_ends_the_wait(repository: ModelRepository) -> None:
    repository.wake.set()
    repository.wait(threading.Event())

    assert not repository.wake.is_set()


def test_a_model_that_was_deleted_is_served_no_more(
    repository: ModelRepository, registry: Several, tmp_path: Path
) -> None:
    repository.refresh()
    registry.more = {}
    # A search that leaves a model out, for want of rights, is not believed alone.
    repository.refresh()
    assert live(repository) == {"ad-click": "1", "churn": "3"}

    registry.gone = {"churn"}
    repository.refresh()

    assert live(repository) == {"ad-click": "1"}
    assert "churn" not in repository.versions
    assert live(ModelRepository(registry, "ad-click", tmp_path / "state")) == {"ad-click": None}
    again = ModelRepository(registry, "ad-click", tmp_path / "state")
    registry.error = TrackerDown("away")
    again.refresh()
    assert live(again) == {"ad-click": "1"}


def test_the_main_model_that_was_deleted_is_served_no_more_and_asked_for_once(
    repository: ModelRepository, registry: Several, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.refresh()
    monkeypatch.setattr(registry, "champions", dict)
    registry.gone = {"ad-click", "churn"}
    registry.asked.clear()
    repository.refresh()
    repository.refresh()

    assert live(repository) == {"ad-click": None}
    assert "was deleted in MLflow" in str(repository.main.error)
    assert registry.asked.count("is_gone ad-click") == 1


def test_another_model_that_loads_slowly_keeps_no_promotion_waiting(
    registry: Several, tmp_path: Path, clock: Clock
) -> None:
    waiting: list[Callable[[], None]] = []
    repository = ModelRepository(registry, "ad-click", tmp_path / "state", clock, waiting.append)
    repository.refresh()
    registry.aliases_now = {"champion": "2"}
    repository.refresh()

    assert live(repository) == {"ad-click": "2", "churn": None}
    # Another model has one job at a time, however often its turn comes.
    assert len(waiting) == 2
    for job in waiting:
        job()
    assert live(repository) == {"ad-click": "2", "churn": "3"}


def test_what_goes_wrong_with_a_model_is_that_models_alone(repository: ModelRepository, registry: Several) -> None:
    versions = registry.versions

    def versions_of_all_but_one(name: str, limit: int = 20) -> list[dict[str, Any]]:
        if name == "churn":
            raise PipelineError("MLflow refuses: Invalid clause(s) in filter string")
        return versions(name, limit)

    registry.versions = versions_of_all_but_one  # type: ignore[method-assign]
    repository.refresh()

    assert repository.upstream_error is None
    assert live(repository) == {"ad-click": "1", "churn": "3"}


def test_a_champion_whose_hash_was_not_asked_yet_is_asked_for(repository: ModelRepository, registry: Several) -> None:
    champions = registry.champions

    def without_hashes() -> dict[str, Champion | None]:
        return {name: one and replace(one, sha256=None) for name, one in champions().items()}

    registry.champions = without_hashes  # type: ignore[method-assign]
    repository.refresh()

    assert live(repository) == {"ad-click": "1", "churn": "3"}


class Crowd:
    """MLflow with many models, each of twenty versions, which counts what it is asked."""

    def __init__(self, count: int) -> None:
        self._names = [f"m{number:03}" for number in range(count)]
        self.asked: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.rpartition("/mlflow/")[2]
        self.asked.append(path)
        return httpx.Response(200, json=getattr(self, path.replace("/", "_").replace("-", "_"))(request))

    def _model(self, name: str) -> dict[str, Any]:
        aliases = [{"alias": "champion", "version": "20"}]
        return {"name": name, "aliases": aliases, "latest_versions": [self._version(name, 20)]}

    def _version(self, name: str, number: int) -> dict[str, Any]:
        run_id = f"{name}{number:02}"
        tags = [{"key": SHA256_TAG, "value": "a"}]
        return {"version": str(number), "run_id": run_id, "creation_timestamp": 1, "tags": tags}

    def registered_models_search(self, request: httpx.Request) -> dict[str, Any]:
        return {"registered_models": [self._model(name) for name in self._names]}

    def registered_models_get(self, request: httpx.Request) -> dict[str, Any]:
        return {"registered_model": self._model(request.url.params["name"])}

    def model_versions_search(self, request: httpx.Request) -> dict[str, Any]:
        name = request.url.params["filter"].split("'")[1]
        return {"model_versions": [self._version(name, number) for number in range(20, 0, -1)]}

    def runs_get(self, request: httpx.Request) -> dict[str, Any]:
        return {"run": {"info": {"run_id": request.url.params["run_id"], "experiment_id": "1"}}}

    def runs_search(self, request: httpx.Request) -> dict[str, Any]:
        told = json.loads(request.content)["filter"].split("'")[1::2]
        return {"runs": [{"info": {"run_id": run_id, "experiment_id": "1"}} for run_id in told]}


class Unopened:
    """Opens nothing: each version would be refused."""

    def open(self, uri: str, name: str, version: str, folder: Path, max_bytes: int) -> None:
        raise HashMismatch(f"{name} version {version}: it is nowhere")


def test_a_start_beside_many_models_asks_little_and_for_the_main_model_first(tmp_path: Path, clock: Clock) -> None:
    crowd = Crowd(100)
    openers: Any = (Unopened(), Unopened())
    registry = MlflowRegistry("http://mlflow", openers, httpx.MockTransport(crowd.answer), "m050")
    repository = ModelRepository(registry, "m050", tmp_path / "state", clock)

    repository.refresh()
    at_first = len(crowd.asked)
    for _ in range(99):
        clock.now += POLL_S
        repository.refresh()

    assert next(iter(repository.versions)) == "m050"
    assert at_first <= 10
    # One question a tick, and four for each model's versions, one model after the other.
    assert len(crowd.asked) <= 100 + 4 * 103
    assert len(repository.versions) >= 95
