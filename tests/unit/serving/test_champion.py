"""The live version: put live when it is sound, and kept while another is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ml.errors import HashMismatch, TrackerDown
from ml.load import LoadedModel, load_folder
from serving.champion import ModelHolder
from tests.unit.serving.conftest import stored


class Registry:
    """A registry in which every version has the same files, unless a test spoils them."""

    def __init__(self, folder: Path, tags: dict[str, str]) -> None:
        self._folder = folder
        self._tags = tags
        self.aliases_now: dict[str, str] = {}
        self.error: Exception | None = None
        self.fetch_error: Exception | None = None
        self.fetched = 0

    def aliases(self) -> dict[str, str]:
        if self.error:
            raise self.error
        return dict(self.aliases_now)

    def fetch(self, version: str, folder: Path) -> LoadedModel:
        self.fetched += 1
        if self.fetch_error:
            raise self.fetch_error
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)
        return load_folder(folder, name="ad-click", version=version, run_id="r", tags=self._tags)

    def metrics(self, run_id: str) -> dict[str, float]:
        return {"test_accuracy": 0.9}


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def registry(folder: Path, tags: dict[str, str]) -> Registry:
    return Registry(folder, tags)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def holder(registry: Registry, tmp_path: Path, clock: Clock) -> ModelHolder:
    return ModelHolder(registry, "ad-click", tmp_path / "state", clock)


def live(holder: ModelHolder) -> str | None:
    return holder.live.loaded.version if holder.live else None


def test_the_version_that_the_alias_points_to_goes_live(holder: ModelHolder, registry: Registry) -> None:
    registry.aliases_now = {"champion": "1"}
    holder.refresh()
    registry.aliases_now = {"champion": "2"}
    holder.refresh()
    holder.refresh()

    assert live(holder) == "2"
    assert (holder.reloads, registry.fetched) == (2, 2)


def test_a_version_that_is_refused_leaves_the_old_one(holder: ModelHolder, registry: Registry, clock: Clock) -> None:
    registry.aliases_now = {"champion": "1"}
    holder.refresh()
    registry.aliases_now, registry.fetch_error = {"champion": "2"}, HashMismatch("version 2: its file was changed")
    holder.refresh()
    holder.refresh()

    assert live(holder) == "1"
    assert holder.error
    assert "its file was changed" in holder.error
    assert (holder.refusals, registry.fetched) == (1, 2)
    clock.now += 60
    registry.fetch_error = None
    holder.refresh()
    assert (live(holder), holder.error) == ("2", None)


def test_an_outage_while_loading_is_tried_again_at_once(holder: ModelHolder, registry: Registry) -> None:
    registry.aliases_now, registry.fetch_error = {"champion": "1"}, TrackerDown("away")
    holder.refresh()
    registry.fetch_error = None
    holder.refresh()

    assert live(holder) == "1"


def test_a_registry_that_is_down_leaves_the_old_one_and_its_age(
    holder: ModelHolder, registry: Registry, clock: Clock
) -> None:
    registry.aliases_now = {"champion": "1"}
    holder.refresh()
    clock.now += 5
    registry.error = TrackerDown("away")
    holder.refresh()

    assert (live(holder), holder.upstream_error, holder.age_s) == ("1", "away", 5)


def test_no_champion_is_no_error(holder: ModelHolder) -> None:
    holder.refresh()

    assert (live(holder), holder.error, holder.upstream_error) == (None, None, None)


def test_a_restart_with_the_registry_down_serves_the_last_copy(
    holder: ModelHolder, registry: Registry, tmp_path: Path
) -> None:
    registry.aliases_now = {"champion": "3"}
    holder.refresh()
    registry.error = TrackerDown("away")
    again = ModelHolder(registry, "ad-click", tmp_path / "state")
    again.refresh()

    assert live(again) == "3"
    assert again.live
    assert again.live.from_disk


def test_a_copy_that_was_changed_is_not_served(holder: ModelHolder, registry: Registry, tmp_path: Path) -> None:
    registry.aliases_now = {"champion": "3"}
    holder.refresh()
    (copy,) = (tmp_path / "state").glob("ad-click-v3")
    stored(tmp_path / "other", seed=2)
    shutil.copy(tmp_path / "other" / "model.skops", copy / "model.skops")
    registry.error = TrackerDown("away")
    again = ModelHolder(registry, "ad-click", tmp_path / "state")
    again.refresh()

    assert live(again) is None


def test_only_the_live_copy_is_kept(holder: ModelHolder, registry: Registry, tmp_path: Path) -> None:
    for version in ("1", "2", "3"):
        registry.aliases_now = {"champion": version}
        holder.refresh()

    assert [path.name for path in (tmp_path / "state").iterdir()] == ["ad-click-v3"]
