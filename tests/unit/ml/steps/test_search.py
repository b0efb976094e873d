"""The best of a search's candidates."""

from __future__ import annotations

from typing import Any

import pytest

from ml.errors import BadInput
from ml.steps.search import best


def result(number: int, **metrics: float) -> dict[str, Any]:
    return {"number": number, "overrides": {}, "metrics": metrics}


def test_the_best_is_the_least_loss_or_the_greatest_of_the_others() -> None:
    results = [
        result(0, validation_log_loss=0.3, validation_roc_auc=0.9),
        result(1, validation_log_loss=0.2, validation_roc_auc=0.8),
        {"number": 2, "overrides": {}, "error": "it failed"},
        result(3, validation_log_loss=0.2, validation_roc_auc=0.9),
        {"number": 4},
        result(5, validation_log_loss=float("nan"), validation_roc_auc=float("nan")),
    ]

    assert best(results, "log_loss")["number"] == 1
    assert best(results, "roc_auc")["number"] == 0


def test_when_every_candidate_failed_the_first_reason_is_told() -> None:
    with pytest.raises(BadInput, match="all 2 candidates of tune failed; the first: out of memory"):
        best([{"number": 0}, {"number": 1, "error": "out of memory"}], "log_loss")
