"""What people are told of a run, whatever the run was called and whatever its error said."""

from __future__ import annotations

from dataclasses import replace

from ml.errors import ContractViolation
from ml.steps.reporting import RunReport, describe, html, note, subject
from ml.tracking.outcome import Outcome

EVIL = '<script>alert("x")</script>'
LINKS = {"Run in MLflow": "http://m/#/runs/1"}
WENT_LIVE = {
    "outcome": "success", "model.version": "3", "promotion.champion": "true",
    "promotion.reason": "there was no champion before it",
}  # fmt: skip
GOOD = RunReport("Airflow_Lab2", "manual__1", "ad-click", Outcome.of(WENT_LIVE), {"test_accuracy": 0.97}, LINKS)
FAILED = {"error.task": "load_data_task", "error.type": "UnreadableData", "error.message": "file.csv is empty"}
BAD = replace(GOOD, outcome=Outcome.of(FAILED), metrics={})


def test_a_success_tells_version_decision_reason_metrics_and_links() -> None:
    assert subject(GOOD) == "[Trackyard] ad-click version 3: champion (manual__1)"
    for part in ("ad-click version 3 is champion", "no champion before it", "test_accuracy", "0.970000", "http://m/#"):
        assert part in html(GOOD)


def test_a_version_that_was_not_promoted_is_told_so() -> None:
    report = replace(GOOD, outcome=Outcome.of({**WENT_LIVE, "promotion.champion": "false"}))

    assert "not promoted" in subject(report)
    assert "was not promoted" in html(report)


def test_a_failure_tells_task_and_message() -> None:
    assert subject(BAD) == "[Trackyard] ad-click: run failed at load_data_task (manual__1)"
    for part in ("ad-click: the run failed", "load_data_task", "file.csv is empty", "the champion is what it was"):
        assert part in html(BAD)


def test_a_run_that_a_person_stopped_is_told_as_stopped() -> None:
    stopped = replace(BAD, outcome=Outcome.of({}))

    assert subject(stopped) == "[Trackyard] ad-click: run was stopped (manual__1)"
    assert "ended before its work was done" in html(stopped)
    assert "Task" not in html(stopped)


def test_a_version_that_the_gate_refused_is_told_as_a_decision() -> None:
    said = {"error.task": "promote_model_task", "error.type": "GateFailed", "error.message": "failed the gate: F1"}
    refused = replace(BAD, outcome=Outcome.of({**said, "model.version": "4"}))

    assert subject(refused) == "[Trackyard] ad-click version 4: refused by the gate (manual__1)"
    assert "ad-click version 4 was refused by the gate" in html(refused)
    assert "failed the gate: F1" in html(refused)


def test_a_report_that_failed_leaves_what_was_decided_in_the_mail() -> None:
    failed = Outcome.of({**WENT_LIVE, "promotion.reason": "it is better", "report": "OSError: the disk is full"})
    report = replace(GOOD, outcome=failed)

    assert subject(report) == f"[Trackyard] ad-click: run failed at report_model_task ({GOOD.run_id})"
    assert "Task report_model_task: the disk is full" in html(report)
    assert f"ad-click version {failed.version} is champion: it is better" in html(report)
    assert "No version was promoted" not in html(report)


def test_a_subject_is_one_line_of_at_most_two_hundred_characters() -> None:
    found = subject(replace(GOOD, run_id="a\r\nBcc: x@y.z\n" + "b" * 500))

    assert len(found) == 200
    assert "\r" not in found
    assert "\n" not in found


def test_html_is_escaped_everywhere() -> None:
    for report in (
        replace(
            GOOD,
            run_id=EVIL,
            model=EVIL,
            outcome=Outcome.of({**WENT_LIVE, "promotion.reason": EVIL}),
            metrics={EVIL: 1.0},
            links={EVIL: f'http://x/"{EVIL}'},
        ),
        replace(BAD, dag_id=EVIL, outcome=Outcome.of({"error.task": EVIL, "error.message": EVIL})),
    ):
        assert "<script" not in html(report)
        assert 'x/"' not in html(report)


def test_a_note_keeps_markup_out() -> None:
    text = note("Airflow_Lab2", "a`b", LINKS, "[click](javascript:x) <img src=x>")

    assert text.startswith("DAG run `ab` of `Airflow_Lab2`")
    assert "<img" not in text
    assert "\\[click]" in text
    assert "[Run in MLflow](http://m/#/runs/1)" in text


def test_an_error_of_ours_speaks_for_itself_and_a_foreign_one_with_its_type() -> None:
    assert describe(ContractViolation("two\nlines")) == "two lines"
    assert describe(KeyError("x")) == "KeyError: 'x'"
