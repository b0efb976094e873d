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
from serving.models.repository import POLL_S, ModelShelf
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
def shelf(registry: Several, tmp_path: Path, clock: Clock) -> ModelShelf:
    return ModelShelf(registry, "ad-click", tmp_path / "state", clock)


def live(shelf: ModelShelf) -> dict[str, str | None]:
    return {name: holder.live and holder.live.loaded.version for name, holder in shelf.holders.items()}


def test_every_model_with_a_champion_is_served(shelf: ModelShelf) -> None:
    shelf.refresh()

    assert live(shelf) == {"ad-click": "1", "churn": "3"}


def test_a_model_that_cannot_be_loaded_holds_no_other_up(shelf: ModelShelf, registry: Several) -> None:
    registry.more = {"broken": "9", "churn": "3"}
    fetch = registry.fetch

    def fetch_all_but_one(name: str, version: str, folder: Path) -> None:
        if name == "broken":
            raise RuntimeError("no file")
        fetch(name, version, folder)

    registry.fetch = fetch_all_but_one  # type: ignore[method-assign, assignment]
    shelf.refresh()

    assert live(shelf) == {"ad-click": "1", "broken": None, "churn": "3"}
    assert "no file" in str(shelf.holders["broken"].error)


def test_while_nothing_changes_one_question_is_asked_a_tick(shelf: ModelShelf, registry: Several, clock: Clock) -> None:
    for _ in range(10):
        clock.now += 1
        shelf.refresh()
    registry.asked.clear()
    for _ in range(30):
        clock.now += 1
        shelf.refresh()

    assert registry.asked == ["champions"] * 30


def test_versions_are_asked_again_when_an_alias_moves_and_once_more_a_little_later(
    shelf: ModelShelf, registry: Several, clock: Clock
) -> None:
    shelf.refresh()
    registry.asked.clear()
    registry.aliases_now = {"champion": "2"}
    for _ in range(6):
        shelf.refresh()
        clock.now += 1

    assert registry.asked.count("versions ad-click") == 2
    assert live(shelf)["ad-click"] == "2"


def test_every_model_starts_from_its_copy_when_mlflow_is_away(
    shelf: ModelShelf, registry: Several, tmp_path: Path
) -> None:
    shelf.refresh()
    registry.error = TrackerDown("away")
    again = ModelShelf(registry, "ad-click", tmp_path / "state")
    again.refresh()

    assert live(again) == {"ad-click": "1", "churn": "3"}
    assert again.upstream_error == "away"


def test_a_webhook_ends_the_wait(shelf: ModelShelf) -> None:
    shelf.wake.set()
    shelf.wait(threading.Event())

    assert not shelf.wake.is_set()


def test_a_model_that_was_deleted_is_served_no_more(shelf: ModelShelf, registry: Several, tmp_path: Path) -> None:
    shelf.refresh()
    registry.more = {}
    # A search that leaves a model out, for want of rights, is not believed alone.
    shelf.refresh()
    assert live(shelf) == {"ad-click": "1", "churn": "3"}

    registry.gone = {"churn"}
    shelf.refresh()

    assert live(shelf) == {"ad-click": "1"}
    assert "churn" not in shelf.versions
    assert live(ModelShelf(registry, "ad-click", tmp_path / "state")) == {"ad-click": None}
    again = ModelShelf(registry, "ad-click", tmp_path / "state")
    registry.error = TrackerDown("away")
    again.refresh()
    assert live(again) == {"ad-click": "1"}


def test_the_main_model_that_was_deleted_is_served_no_more_and_asked_for_once(
    shelf: ModelShelf, registry: Several, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.refresh()
    monkeypatch.setattr(registry, "champions", dict)
    registry.gone = {"ad-click", "churn"}
    registry.asked.clear()
    shelf.refresh()
    shelf.refresh()

    assert live(shelf) == {"ad-click": None}
    assert "was deleted in MLflow" in str(shelf.main.error)
    assert registry.asked.count("is_gone ad-click") == 1


def test_another_model_that_loads_slowly_keeps_no_promotion_waiting(
    registry: Several, tmp_path: Path, clock: Clock
) -> None:
    waiting: list[Callable[[], None]] = []
    shelf = ModelShelf(registry, "ad-click", tmp_path / "state", clock, waiting.append)
    shelf.refresh()
    registry.aliases_now = {"champion": "2"}
    shelf.refresh()

    assert live(shelf) == {"ad-click": "2", "churn": None}
    # Another model has one job at a time, however often its turn comes.
    assert len(waiting) == 2
    for job in waiting:
        job()
    assert live(shelf) == {"ad-click": "2", "churn": "3"}


def test_what_goes_wrong_with_a_model_is_that_models_alone(shelf: ModelShelf, registry: Several) -> None:
    versions = registry.versions

    def versions_of_all_but_one(name: str, limit: int = 20) -> list[dict[str, Any]]:
        if name == "churn":
            raise PipelineError("MLflow refuses: Invalid clause(s) in filter string")
        return versions(name, limit)

    registry.versions = versions_of_all_but_one  # type: ignore[method-assign]
    shelf.refresh()

    assert shelf.upstream_error is None
    assert live(shelf) == {"ad-click": "1", "churn": "3"}


def test_a_champion_whose_hash_was_not_asked_yet_is_asked_for(shelf: ModelShelf, registry: Several) -> None:
    champions = registry.champions

    def without_hashes() -> dict[str, Champion | None]:
        return {name: one and replace(one, sha256=None) for name, one in champions().items()}

    registry.champions = without_hashes  # type: ignore[method-assign]
    shelf.refresh()

    assert live(shelf) == {"ad-click": "1", "churn": "3"}


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
    shelf = ModelShelf(registry, "m050", tmp_path / "state", clock)

    shelf.refresh()
    at_first = len(crowd.asked)
    for _ in range(99):
        clock.now += POLL_S
        shelf.refresh()

    assert next(iter(shelf.versions)) == "m050"
    assert at_first <= 10
    # One question a tick, and four for each model's versions, one model after the other.
    assert len(crowd.asked) <= 100 + 4 * 103
    assert len(shelf.versions) >= 95
