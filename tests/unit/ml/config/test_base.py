"""What every section takes for a truth, a whole number or a list, and what none takes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml.config.base import Section, Seed, Texts, Truth, TruthOrAuto, Whole
from ml.config.loading import resolve
from ml.config.schema import PipelineConfig


@pytest.mark.parametrize(("word", "truth"), [("yes", True), ("No", False), ("on", True), ("OFF", False)])
def test_a_truth_may_be_written_as_other_yaml_has_it(word: str, truth: bool) -> None:
    forest = {"model": {"estimator": "HistGradientBoostingClassifier", "parameters": {"early_stopping": word}}}

    found = resolve(PipelineConfig(), {"notification": {"on_success": word}, "split": {"stratify": word}, **forest})

    assert (found.notification.on_success, found.split.stratify) == (truth, truth)
    assert found.model.parameters.early_stopping is truth


class _Sample(Section):
    number: float = 1.0
    whole: Whole = 1
    seed: Seed = 0
    texts: Texts = ()
    truth: Truth = True
    stratify: TruthOrAuto = "auto"


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("whole", 60.0, 60),
        ("seed", 2**32 - 1, 2**32 - 1),
        ("texts", ["a", "b"], ("a", "b")),
        ("truth", "No", False),
        ("stratify", "on", True),
        ("stratify", "auto", "auto"),
        ("number", 3, 3.0),
    ],
)
def test_a_value_is_read_as_what_is_meant(key: str, given: Any, expected: Any) -> None:
    found = getattr(_Sample.model_validate({key: given}), key)

    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("other", 1), ("number", float("nan")), ("number", float("inf")), ("number", "1"), ("number", True),
        ("whole", 1.5), ("whole", "1"), ("whole", True), ("seed", -1), ("seed", 2**32), ("texts", "a"), ("texts", [1]),
        ("truth", "y"), ("truth", 1), ("stratify", "AUTO"), ("stratify", 1),
    ],
)  # fmt: skip
def test_what_only_resembles_a_value_is_refused(key: str, given: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        _Sample.model_validate({key: given})


def test_a_section_cannot_be_changed_once_it_is_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        _Sample().whole = 2
