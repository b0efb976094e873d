"""Versions that are fetched before they are promoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import HashMismatch
from ml.registry.loading import SHA256_TAG
from serving.models.prefetch import Prefetcher
from serving.models.repository import ModelRepository
from serving.upstream.registry import Candidate
from tests.fakes import Registry


@pytest.fixture
def registry(folder: Path, tags: dict[str, str]) -> Registry:
    found = Registry(folder, tags)
    found.candidates_now = [Candidate("ad-click", str(number), tags[SHA256_TAG], "r") for number in (3, 2, 1)]
    return found


def test_a_promotion_to_what_was_fetched_ahead_fetches_nothing(registry: Registry, tmp_path: Path) -> None:
    prefetcher = Prefetcher(registry, tmp_path)
    for _ in range(5):
        prefetcher.fetch_one()
    assert registry.fetched == 3
    repository = ModelRepository(registry, "ad-click", tmp_path)
    registry.fetch_error = AssertionError("it was fetched before")

    for version in ("2", "3", "1"):
        registry.aliases_now = {"champion": version}
        repository.refresh()
        assert repository.main.live
        assert (repository.main.live.loaded.version, repository.main.error) == (version, None)


def test_what_cannot_be_fetched_is_left_alone_until_somebody_promotes_it(registry: Registry, tmp_path: Path) -> None:
    prefetcher = Prefetcher(registry, tmp_path)
    registry.fetch_error = HashMismatch("its file was changed")
    for _ in range(5):
        prefetcher.fetch_one()

    assert registry.fetched == 3
    repository = ModelRepository(registry, "ad-click", tmp_path)
    registry.aliases_now = {"champion": "2"}
    repository.refresh()
    assert "its file was changed" in str(repository.main.error)
    assert repository.main.refusals == 1


def test_the_newest_of_every_model_come_first_and_not_all_of_them(registry: Registry, tmp_path: Path) -> None:
    sha256 = registry.tags[SHA256_TAG]
    registry.candidates_now = [Candidate("ad-click", str(number), sha256) for number in range(40, 0, -1)]
    registry.candidates_now.append(Candidate("churn", "1", sha256))
    prefetcher = Prefetcher(registry, tmp_path)
    for _ in range(40):
        prefetcher.fetch_one()

    kept = {path.name.rsplit("-", 1)[0] for path in tmp_path.iterdir()}
    assert kept == {*(f"ad-click-v{number}" for number in range(21, 41)), "churn-v1"}


def test_another_process_that_fetched_it_first_is_believed(registry: Registry, tmp_path: Path) -> None:
    for _ in range(2):
        prefetcher = Prefetcher(registry, tmp_path)
        for _ in range(4):
            prefetcher.fetch_one()

    assert registry.fetched == 3
