"""Several models side by side, and how often MLflow is asked."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ml.errors import TrackerDown
from ml.load import SHA256_TAG
from serving.registry_client import Champion
from serving.shelf import ModelShelf
from tests.unit.serving.test_champion import Clock, Registry


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
