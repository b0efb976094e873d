"""How a run ended is read in one place: the MLflow run's status, the mail and the command line say the same."""

from __future__ import annotations

import pytest

from ml.tracking.outcome import Outcome, dag_run_page, version_page


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ({"outcome": "success", "promotion.champion": "true"}, "FINISHED"),
        ({"outcome": "success", "error.message": "of an earlier try"}, "FINISHED"),
        ({"error.task": "load_data_task", "error.message": "x.csv is empty"}, "FAILED"),
        ({"error.message": "x.csv is empty"}, "FAILED"),
        ({}, "KILLED"),
    ],
)
def test_a_run_that_neither_succeeded_nor_failed_was_stopped(tags: dict[str, str], status: str) -> None:
    assert Outcome.of(tags).status == status


def test_what_went_wrong_is_one_line() -> None:
    assert Outcome.of({"error.message": "no\n  columns "}).error == "no columns"


def test_a_page_is_found_whatever_the_run_and_the_model_are_called() -> None:
    assert dag_run_page("http://a", "D", "x/1 +2") == "http://a/dags/D/runs/x%2F1%20%2B2"
    assert version_page("http://m", "ad click/2", "3") == "http://m/#/models/ad%20click%2F2/versions/3"
