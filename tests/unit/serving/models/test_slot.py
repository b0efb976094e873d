"""The live version: put live when it is sound, and kept while another is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ml.errors import HashMismatch, TrackerDown
from ml.registry.loading import SHA256_TAG
from serving.models.repository import ModelRepository
from tests.fakes import Clock, Registry, stored


@pytest.fixture
def registry(folder: Path, tags: dict[str, str]) -> Registry:
    return Registry(folder, tags)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repository(registry: Registry, tmp_path: Path, clock: Clock) -> ModelRepository:
    return ModelRepository(registry, "ad-click", tmp_path / "state", clock)


def live(repository: ModelRepository) -> str | None:
    return repository.main.live.loaded.version if repository.main.live else None


def test_the_version_that_the_alias_points_to_goes_live(repository: ModelRepository, registry: Registry) -> None:
    registry.aliases_now = {"champion": "1"}
    repository.refresh()
    registry.aliases_now = {"champion": "2"}
    repository.refresh()
    repository.refresh()

    assert live(repository) == "2"
    assert (repository.main.reloads, registry.fetched) == (2, 2)


def test_a_version_that_is_refused_leaves_the_old_one(
    repository: ModelRepository, registry: Registry, clock: Clock
) -> None:
    registry.aliases_now = {"champion": "1"}
    repository.refresh()
    registry.aliases_now, registry.fetch_error = {"champion": "2"}, HashMismatch("version 2: its file was changed")
    repository.refresh()
    repository.refresh()

    assert live(repository) == "1"
    assert repository.main.error
    assert "its file was changed" in repository.main.error
    assert (repository.main.refusals, registry.fetched) == (1, 2)
    clock.now += 60
    registry.fetch_error = None
    repository.refresh()
    assert (live(repository), repository.main.error) == ("2", None)


def test_an_outage_while_loading_is_tried_again_at_once(repository: ModelRepository, registry: Registry) -> None:
    registry.aliases_now, registry.fetch_error = {"champion": "1"}, TrackerDown("away")
    repository.refresh()
    registry.fetch_error = None
    repository.refresh()

    assert live(repository) == "1"


def test_a_registry_that_is_down_leaves_the_old_one_and_its_age(
    repository: ModelRepository, registry: Registry, clock: Clock
) -> None:
    registry.aliases_now = {"champion": "1"}
    repository.refresh()
    clock.now += 5
    registry.error = TrackerDown("away")
    repository.refresh()

    assert (live(repository), repository.upstream_error, repository.age_s) == ("1", "away", 5)


def test_no_champion_is_no_error(repository: ModelRepository) -> None:
    repository.refresh()

    assert (live(repository), repository.main.error, repository.upstream_error) == (None, None, None)


def test_a_restart_with_the_registry_down_serves_the_last_copy(
    repository: ModelRepository, registry: Registry, tmp_path: Path
) -> None:
    registry.aliases_now = {"champion": "3"}
    repository.refresh()
    registry.error = TrackerDown("away")
    again = ModelRepository(registry, "ad-click", tmp_path / "state")
    again.refresh()

    assert live(again) == "3"
    assert again.main.live
    assert again.main.live.from_disk


def test_a_copy_that_was_changed_is_not_served(repository: ModelRepository, registry: Registry, tmp_path: Path) -> None:
    registry.aliases_now = {"champion": "3"}
    repository.refresh()
    (copy,) = (tmp_path / "state").glob("ad-click-v3-*")
    stored(tmp_path / "other", seed=2)
    shutil.copy(tmp_path / "other" / "model.skops", copy / "model.skops")
    registry.error = TrackerDown("away")
    again = ModelRepository(registry, "ad-click", tmp_path / "state")
    again.refresh()

    assert live(again) is None


def test_a_version_that_was_live_before_is_not_fetched_again(repository: ModelRepository, registry: Registry) -> None:
    for version in ("1", "2", "1"):
        registry.aliases_now = {"champion": version}
        repository.refresh()

    assert live(repository) == "1"
    assert (repository.main.reloads, registry.fetched) == (3, 2)


def test_a_restart_serves_what_was_live_last_and_not_the_newest(
    repository: ModelRepository, registry: Registry, tmp_path: Path
) -> None:
    for version in ("10", "9"):
        registry.aliases_now = {"champion": version}
        repository.refresh()
    registry.error = TrackerDown("away")
    again = ModelRepository(registry, "ad-click", tmp_path / "state")
    again.refresh()

    assert live(again) == "9"


def test_a_restart_serves_the_copy_while_the_file_cannot_be_fetched(
    repository: ModelRepository, registry: Registry, tmp_path: Path
) -> None:
    registry.aliases_now = {"champion": "3"}
    repository.refresh()
    registry.fetch_error = TrackerDown("S3 is away")
    again = ModelRepository(registry, "ad-click", tmp_path / "state")
    again.refresh()

    assert (live(again), again.main.error, registry.fetched) == ("3", None, 1)
    registry.aliases_now = {"champion": "4"}
    again.refresh()
    assert live(again) == "3"
    assert "S3 is away" in str(again.main.error)


def test_a_damaged_copy_is_looked_at_once(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = tmp_path / "state" / f"ad-click-v3-{'0' * 12}"
    copy.mkdir(parents=True)
    marker = {"version": "3", "sha256": "0" * 64, "metrics": {}}
    (tmp_path / "state" / "ad-click.live").write_text(json.dumps(marker))
    registry.error = TrackerDown("away")
    again = ModelRepository(registry, "ad-click", tmp_path / "state")
    for _ in range(3):
        again.refresh()

    assert sum("not used" in record.getMessage() for record in caplog.records) == 1


def test_a_version_whose_number_is_the_same_and_whose_file_is_not_is_fetched(
    repository: ModelRepository, registry: Registry, tmp_path: Path
) -> None:
    registry.aliases_now = {"champion": "1"}
    repository.refresh()
    other = tmp_path / "other"
    replaced = Registry(other, stored(other, seed=2))
    registry.tags, registry.fetch = replaced.tags, replaced.fetch  # type: ignore[method-assign]
    repository.refresh()

    assert repository.main.live
    assert repository.main.live.loaded.sha256 == replaced.tags[SHA256_TAG]


def test_a_version_that_cannot_be_fetched_is_tried_less_and_less_often(
    repository: ModelRepository, registry: Registry, clock: Clock
) -> None:
    registry.aliases_now, registry.fetch_error = {"champion": "1"}, TrackerDown("away")
    for _ in range(300):
        repository.refresh()
        clock.now += 0.7

    assert 20 < registry.fetched < 40
    registry.aliases_now, registry.fetch_error = {"champion": "2"}, None
    repository.refresh()
    assert live(repository) == "2"


def test_a_state_folder_that_cannot_be_written_is_an_error_that_passes(
    registry: Registry, tmp_path: Path, clock: Clock
) -> None:
    (tmp_path / "file").write_text("no folder")
    repository = ModelRepository(registry, "ad-click", tmp_path / "file", clock)
    registry.aliases_now = {"champion": "1"}
    repository.refresh()

    assert "version 1 was not loaded" in str(repository.main.error)
    (tmp_path / "file").unlink()
    clock.now += 10
    repository.refresh()
    assert (live(repository), repository.main.error) == ("1", None)


@pytest.mark.parametrize(("error", "serves"), [(KeyError("run"), True), (TrackerDown("away"), False)])
def test_a_version_without_metrics_serves_unless_they_may_still_come(
    repository: ModelRepository, registry: Registry, error: Exception, serves: bool
) -> None:
    def metrics(run_id: str) -> dict[str, float]:
        raise error

    registry.metrics = metrics  # type: ignore[method-assign]
    registry.aliases_now = {"champion": "1"}
    repository.refresh()

    assert (live(repository) == "1") is serves


def test_the_last_version_serves_on_when_none_is_champion(repository: ModelRepository, registry: Registry) -> None:
    registry.aliases_now = {"champion": "1"}
    repository.refresh()
    registry.aliases_now = {}
    repository.refresh()

    assert live(repository) == "1"
    assert "no version is champion" in str(repository.main.error)
