"""The copy on disk: what is kept, and what of it is trusted again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import Untrusted
from ml.load import LoadedModel, frame_of
from serving.model_copy import LiveModel, ModelCopy, smoke_test

METRICS = {"test_accuracy": 0.9}


@pytest.fixture
def copy(tmp_path: Path) -> ModelCopy:
    return ModelCopy(tmp_path / "state", "ad-click")


@pytest.fixture
def kept(copy: ModelCopy, folder: Path, model: LoadedModel, tmp_path: Path) -> Path:
    """The folder of a copy that was kept."""
    keep(copy, folder, model)
    return tmp_path / "state" / "ad-click-v7"


def keep(copy: ModelCopy, folder: Path, model: LoadedModel) -> None:
    with copy.new_folder() as new:
        shutil.copytree(folder, new, dirs_exist_ok=True)
        copy.keep(new, LiveModel.now(model, METRICS))


def test_what_was_kept_is_restored_and_predicts_the_same(copy: ModelCopy, kept: Path, model: LoadedModel) -> None:
    found = copy.restore()

    assert found
    assert found.from_disk
    assert found.metrics == METRICS
    assert replace(found.loaded, pipeline=None) == replace(model, pipeline=None)
    frame = frame_of(model, model.input_example)
    assert (found.loaded.pipeline.predict_proba(frame) == model.pipeline.predict_proba(frame)).all()


def test_nothing_is_restored_where_nothing_was_kept(copy: ModelCopy, tmp_path: Path) -> None:
    assert copy.restore() is None
    (tmp_path / "state").mkdir()
    assert copy.restore() is None


@pytest.mark.parametrize("version", ["8", "10"])
def test_the_newest_copy_wins_and_not_the_one_that_sorts_first_or_last(
    copy: ModelCopy, kept: Path, folder: Path, model: LoadedModel, version: str
) -> None:
    older = shutil.copytree(kept, kept.with_name("kept"))
    keep(copy, folder, replace(model, version=version))
    older.rename(kept)

    found = copy.restore()

    assert found
    assert found.loaded.version == version


def _cut(folder: Path) -> None:
    path = folder / "model.skops"
    path.write_bytes(path.read_bytes()[:-100])


def _without_facts(folder: Path) -> None:
    (folder / "trackyard.json").unlink()


def _empty_facts(folder: Path) -> None:
    (folder / "trackyard.json").write_text("")


def _of_another_model(folder: Path) -> None:
    path = folder / "trackyard.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": "churn"}))


def _without_hash(folder: Path) -> None:
    path = folder / "trackyard.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tags": {}}))


@pytest.mark.parametrize("spoil", [_cut, _without_facts, _empty_facts, _of_another_model, _without_hash])
def test_a_copy_that_is_not_what_was_kept_is_passed_over(copy: ModelCopy, kept: Path, spoil: Any) -> None:
    spoil(kept)

    assert copy.restore() is None


def test_the_copy_of_a_model_whose_name_begins_alike_is_left_alone(
    tmp_path: Path, folder: Path, model: LoadedModel
) -> None:
    other = ModelCopy(tmp_path / "state", "ad-click-v2")
    keep(other, folder, replace(model, name="ad-click-v2", version="1"))

    keep(ModelCopy(tmp_path / "state", "ad-click"), folder, model)

    assert other.restore()


def test_a_folder_that_was_not_kept_goes(copy: ModelCopy) -> None:
    with copy.new_folder() as new:
        (new / "half").write_text("x")

    assert not new.exists()


def test_a_model_is_asked_for_its_own_example_before_it_answers_others(model: LoadedModel) -> None:
    class Broken:
        def __init__(self, answer: Any) -> None:
            self.predict_proba = lambda frame: np.array(answer)

    smoke_test(model)
    for answer in ([[0.5, 0.5]], [[0.1, 0.9]] * 4 + [[float("nan")] * 2], [[-1.0, 2.0]] * 5, [0.5] * 5):
        with pytest.raises(Untrusted, match="version 7"):
            smoke_test(replace(model, pipeline=Broken(answer)))
    with pytest.raises(Untrusted, match="input example"):
        smoke_test(replace(model, input_example=[]))
