"""A checked version as a folder: what is written is what is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import Untrusted
from ml.registry.loading import LoadedModel, frame_of
from serving.models import prepared
from serving.models.predictor import Predictor
from serving.models.scorer import Copy, Scorer
from tests.fakes import Stored


def test_a_model_is_asked_for_its_own_example_before_it_answers_others(model: LoadedModel) -> None:
    class Broken:
        def __init__(self, answer: Any) -> None:
            self.predict_proba = lambda frame: np.array(answer)

    prepared.smoke_test(model)
    for answer in ([[0.5, 0.5]], [[0.1, 0.9]] * 4 + [[float("nan")] * 2], [[-1.0, 2.0]] * 5, [0.5] * 5):
        with pytest.raises(Untrusted, match="version 7"):
            prepared.smoke_test(replace(model, pipeline=Broken(answer)))
    with pytest.raises(Untrusted, match="input example"):
        prepared.smoke_test(replace(model, input_example=[]))


@pytest.fixture
def written(folder: Path, model: LoadedModel, tmp_path: Path) -> Path:
    """The folder of a linear version that was written."""
    found = tmp_path / "copy"
    shutil.copytree(folder, found)
    prepared.write(found, model)
    return found


def test_a_version_is_read_as_it_was_written(written: Path, model: LoadedModel, stored: Stored) -> None:
    linear, forest = prepared.read(written, "ad-click"), prepared.read(stored.folder, "forest")

    for found, loaded in ((linear, model), (forest, stored.loaded)):
        expected = Predictor.of(loaded)
        assert found.loaded == replace(loaded, pipeline=None)
        assert (found.nullable, found.categories, found.elsewhere) == (expected.nullable, expected.categories, None)
    assert linear.form.as_values() == Predictor.of(model).form.as_values()
    assert forest.form is None
    assert forest.categories == {"Colour": {"red", "blue", "grün"}}


def test_a_version_that_has_no_form_is_loaded_where_it_is_predicted(written: Path, stored: Stored) -> None:
    class Noting(Scorer):
        loaded: list[Copy]

        def load(self, copy: Copy) -> None:
            self.loaded.append(copy)

    scorer = Noting()
    scorer.loaded = []

    assert prepared.read(written, "ad-click", scorer).elsewhere
    assert prepared.read(stored.folder, "forest", scorer).elsewhere
    assert scorer.loaded == [stored.copy]


def test_a_version_with_its_pipeline_is_the_one_that_was_checked(written: Path, model: LoadedModel) -> None:
    found = prepared.load(written, "ad-click", model.sha256)

    frame = frame_of(model, model.input_example)
    assert found.pipeline.predict_proba(frame).tolist() == model.pipeline.predict_proba(frame).tolist()
    with pytest.raises(Untrusted, match="holds another file than was checked"):
        prepared.load(written, "ad-click", "0" * 64)


def _without_facts(folder: Path) -> None:
    (folder / "trackyard.json").unlink()


def _other_version(folder: Path) -> None:
    digest, text = (folder / "trackyard.json").read_text().split("\n")
    (folder / "trackyard.json").write_text(f"{digest}\n{json.dumps({**json.loads(text), 'version': '8'})}")


def _as_it_is(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "name", "why"),
    [
        (_without_facts, "ad-click", r"holds no checked model \(FileNotFoundError\)"),
        (_other_version, "ad-click", "is of something that was changed, not of ad-click"),
        (_as_it_is, "churn", "is of ad-click, not of churn"),
    ],
    ids=["without facts", "changed", "another"],
)
def test_what_was_not_written_is_not_read(written: Path, spoil: Callable[[Path], None], name: str, why: str) -> None:
    spoil(written)

    with pytest.raises(Untrusted, match=why):
        prepared.read(written, name)
