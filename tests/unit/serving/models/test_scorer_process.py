"""What the process in which scikit-learn predicts answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import BadInput
from serving.models.predictor import by_sklearn
from serving.models.scorer import Copy
from serving.models.scorer_process import answer_to, loaded_of
from tests.fakes import Stored


def test_few_versions_are_loaded_at_a_time(stored: Stored, tmp_path: Path) -> None:
    loaded_of.cache_clear()
    copies = [Copy(str(tmp_path / str(number)), "forest", "3", stored.loaded.sha256) for number in range(10)]
    for copy in copies:
        shutil.copytree(stored.folder, copy.folder)
        assert answer_to(vars(copy), b"") == ({"loaded": "3"}, b"")

    assert loaded_of.cache_info().misses == 10
    for copy in copies[-7:]:
        answer_to(vars(copy), b"")
    assert loaded_of.cache_info().misses == 10
    answer_to(vars(copies[2]), b"")
    assert loaded_of.cache_info().misses == 11
    loaded_of.cache_clear()


def asked_for(stored: Stored, ages: list[float], incomes: list[float], colours: list[Any]) -> Any:
    """A question as the service asks it, and what came of it."""
    asked = {**vars(stored.copy), "rows": 2, "numbers": ["Age", "Area Income"], "texts": {"Colour": colours}}
    return answer_to(asked, np.array([ages, incomes], "<f8").tobytes())


def test_rows_come_column_by_column_and_are_predicted_in_their_order(stored: Stored) -> None:
    columns: dict[str, Any] = {"Age": [20.0, 60.0], "Area Income": [70_000.5, np.nan], "Colour": ["red", None]}

    facts, content = asked_for(stored, *columns.values())

    expected = by_sklearn(stored.loaded, columns).tolist()
    assert (facts, np.frombuffer(content, "<f8").tolist()) == ({}, expected)
    assert expected[0] != expected[1]


def test_rows_that_it_cannot_compute_with_are_the_fault_of_who_asks(stored: Stored) -> None:
    with pytest.raises(BadInput, match=r"^forest version 3 cannot compute with this: .*too large"):
        asked_for(stored, [20.0, 60.0], [1e99, 1.0], ["red", "red"])
