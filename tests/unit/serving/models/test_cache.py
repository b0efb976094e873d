"""The copies on disk: what is kept, and what of it is trusted again."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml.registry.loading import LoadedModel, frame_of
from serving.models import prepared
from serving.models.cache import LiveModel, ModelCopy, models_kept
from serving.models.predictor import Predictor

METRICS = {"test_accuracy": 0.9}


@pytest.fixture
def copy(tmp_path: Path) -> ModelCopy:
    return ModelCopy(tmp_path / "state", "ad-click")


@pytest.fixture
def kept(copy: ModelCopy, folder: Path, model: LoadedModel, tmp_path: Path) -> Path:
    """The folder of the copy that is live."""
    keep(copy, folder, model)
    (found,) = (tmp_path / "state").glob("ad-click-v7-*")
    return found


def keep(copy: ModelCopy, folder: Path, model: LoadedModel) -> None:
    """What the service does when a version goes live."""
    with copy.new_folder() as new:
        shutil.copytree(folder, new, dirs_exist_ok=True)
        prepared.write(new, model)
        copy.keep(new, model)
    found = copy.find(model.version, model.sha256, model.run_id)
    assert found
    copy.mark(LiveModel.now(found, METRICS))


def test_what_was_kept_is_restored_and_predicts_the_same(copy: ModelCopy, kept: Path, model: LoadedModel) -> None:
    found = copy.restore()

    assert found
    assert found.from_disk
    assert found.metrics == METRICS
    assert found.loaded == replace(model, pipeline=None)
    frame = frame_of(model, model.input_example)
    columns = {name: frame[name].to_numpy() for name in frame}
    assert (found.predictor.probability(columns) == Predictor.of(model).probability(columns)).all()


def test_nothing_is_restored_where_nothing_was_kept(copy: ModelCopy, tmp_path: Path) -> None:
    assert copy.restore() is None
    assert models_kept(tmp_path / "state") == []
    (tmp_path / "state").mkdir()
    assert copy.restore() is None


def test_the_version_that_was_live_last_is_restored_whatever_its_number(
    copy: ModelCopy, kept: Path, folder: Path, model: LoadedModel
) -> None:
    for version in ("10", "9"):
        keep(copy, folder, replace(model, version=version))

    found = copy.restore()

    assert found
    assert found.loaded.version == "9"


def _cut(folder: Path) -> None:
    path = folder / "model.skops"
    path.write_bytes(path.read_bytes()[:-100])


def _without_facts(folder: Path) -> None:
    (folder / "trackyard.json").unlink()


def _empty_facts(folder: Path) -> None:
    (folder / "trackyard.json").write_text("")


def _other_number(folder: Path) -> None:
    path = folder / "trackyard.json"
    digest, text = path.read_text().split("\n")
    told = json.loads(text)
    told["form"]["bias"] += 1e-3
    path.write_text(f"{digest}\n{json.dumps(told)}")


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize("spoil", [_cut, _without_facts, _empty_facts, _other_number, _gone])
def test_a_copy_that_is_not_what_was_kept_is_passed_over(copy: ModelCopy, kept: Path, spoil: Any) -> None:
    spoil(kept)

    assert copy.restore() is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": "7", "sha256": "x", "run_id": "r7", "metrics": {}}'])
def test_a_mark_that_cannot_be_read_restores_nothing(copy: ModelCopy, kept: Path, text: str) -> None:
    (kept.parent / "ad-click.live").write_text(text)

    assert copy.restore() is None


def test_the_copy_of_another_model_under_this_name_is_passed_over(
    copy: ModelCopy, kept: Path, folder: Path, model: LoadedModel
) -> None:
    other = replace(model, name="churn")
    prepared.write(kept, other)

    assert copy.restore() is None


def test_a_file_that_is_not_the_champions_is_not_found(copy: ModelCopy, kept: Path, model: LoadedModel) -> None:
    same_beginning = model.sha256[:12] + "0" * 52

    assert copy.find("7", model.sha256, "r7")
    assert copy.find("7", same_beginning, "r7") is None
    assert copy.find("8", model.sha256, "r7") is None
    assert copy.find("7", "", "r7") is None


def test_the_same_file_of_another_run_is_another_version(
    copy: ModelCopy, kept: Path, folder: Path, model: LoadedModel
) -> None:
    assert copy.find("7", model.sha256, "another") is None

    keep(copy, folder, replace(model, run_id="another"))

    found = [copy.find("7", model.sha256, run_id) for run_id in ("r7", "another")]
    assert [one and one.loaded.run_id for one in found] == ["r7", "another"]


@pytest.mark.parametrize(
    "name", ["long" * 60, "é" * 120, "loading-model", ".hidden", "with 'quotes\"", "tab\t", "model-" + "a" * 16]
)
def test_a_model_may_be_called_anything(tmp_path: Path, folder: Path, model: LoadedModel, name: str) -> None:
    copy = ModelCopy(tmp_path / "state", name)
    keep(copy, folder, replace(model, name=name))

    assert models_kept(tmp_path / "state") == [name]
    again = ModelCopy(tmp_path / "state", name).restore()
    assert again
    assert again.loaded.name == name
    copy.forget()
    assert copy.restore() is None


def test_copies_that_were_not_used_for_longest_go_and_never_the_live_one(
    copy: ModelCopy, folder: Path, model: LoadedModel, tmp_path: Path
) -> None:
    for number in range(30):
        keep(copy, folder, replace(model, version=str(number)))
        (made,) = (tmp_path / "state").glob(f"ad-click-v{number}-*")
        os.utime(made, (number, number))
    left_over = tmp_path / "state" / "loading-old"
    left_over.mkdir()
    os.utime(left_over, (1, 1))

    live = copy.find("2", model.sha256, "r7") or copy.find("29", model.sha256, "r7")
    assert live
    copy.mark(LiveModel.now(live, METRICS))

    numbers = {int(path.name.split("-")[2][1:]) for path in (tmp_path / "state").glob("ad-click-v*")}
    assert numbers == set(range(5, 30))
    assert not left_over.exists()


def test_the_copy_of_a_model_whose_name_begins_alike_is_left_alone(
    tmp_path: Path, folder: Path, model: LoadedModel
) -> None:
    other = ModelCopy(tmp_path / "state", "ad-click-v2")
    keep(other, folder, replace(model, name="ad-click-v2", version="1"))
    mine = ModelCopy(tmp_path / "state", "ad-click")
    for number in range(30):
        keep(mine, folder, replace(model, version=str(number)))

    assert other.restore()
    assert models_kept(tmp_path / "state") == ["ad-click", "ad-click-v2"]


def test_a_folder_that_was_not_kept_goes(copy: ModelCopy) -> None:
    with copy.new_folder() as new:
        (new / "half").write_text("x")

    assert not new.exists()
