"""How a run ended is read in one place: the MLflow run's status, the mail and the command line say the same."""

from __future__ import annotations

import pytest

from ml.tracking.outcome import Outcome, dag_run_page, error_tags, version_page


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ({"outcome": "success", "promotion.champion": "true"}, "FINISHED"),
        ({"outcome": "success", "error.message": "of an earlier try"}, "FINISHED"),
        ({"error.task": "load_data_task", "error.message": "x.csv is empty"}, "FAILED"),
        ({"error.message": "x.csv is empty"}, "FAILED"),
        ({}, "KILLED"),
        ({"outcome": "success", "report": "done"}, "FINISHED"),
        ({"outcome": "success", "report": "OSError: full"}, "FAILED"),
        # Its process was killed, without a word.
        ({"outcome": "success", "report": "pending"}, "KILLED"),
        ({"report": "OSError: full"}, "KILLED"),
    ],
)
def test_a_run_that_neither_succeeded_nor_failed_was_stopped(tags: dict[str, str], status: str) -> None:
    assert Outcome.of(tags).status == status


def test_a_failed_report_fails_the_run_and_leaves_the_decision() -> None:
    tags = {"outcome": "success", "promotion.champion": "true", "promotion.reason": "better"}

    found = Outcome.of(tags | error_tags("report_model_task", "OSError", "OSError: the disk is full"))

    assert (found.succeeded, found.decided, found.is_champion, found.reason) == (False, True, True, "better")
    assert (found.failed_task, found.error_type) == ("report_model_task", "OSError")
    assert found.error == "OSError: the disk is full"


def test_what_the_decision_failed_with_is_told_before_what_the_report_did() -> None:
    refused = error_tags("promote_model_task", "GateFailed", "no") | error_tags("report_model_task", "OSError", "full")

    assert (Outcome.of(refused).failed_task, Outcome.of(refused).error) == ("promote_model_task", "no")


def test_what_went_wrong_is_one_line() -> None:
    assert Outcome.of({"error.message": "no\n  columns "}).error == "no columns"


def test_a_page_is_found_whatever_the_run_and_the_model_are_called() -> None:
    assert dag_run_page("http://a", "D", "x/1 +2") == "http://a/dags/D/runs/x%2F1%20%2B2"
    assert version_page("http://m", "ad click/2", "3") == "http://m/#/models/ad%20click%2F2/versions/3"
