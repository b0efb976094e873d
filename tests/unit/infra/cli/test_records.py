"""What MLflow recorded about DAG runs and versions; on a real MLflow store."""

from __future__ import annotations

from typing import Any

import pytest

from infra.cli.records import Record, all_versions, latest_runs, record_of, run_summary, version_rows
from ml.tracking.runs import run_key


def _run(tracker: Any, run_id: str, began: int = 1, dag_id: str = "dag", **tags: str) -> str:
    known = {"airflow.dag_id": dag_id, "airflow.run_id": run_id, "run_key": run_key(dag_id, run_id), **tags}
    return str(tracker.create_run("0", began, {name: tag for name, tag in known.items() if tag}).info.run_id)


def _versions(tracker: Any, name: str, *run_ids: str | None, **tags: str) -> None:
    tracker.create_registered_model(name)
    for run_id in run_ids:
        tracker.create_model_version(name, "file:///x", run_id, tags=tags)


def test_a_run_that_left_nothing_has_an_empty_record(registry) -> None:
    found = record_of(registry.tracker, "dag", "r")

    assert found == Record()
    assert (found.metrics, found.outcome.is_champion, found.outcome.error) == ({}, False, "")


def test_the_record_of_a_run_has_its_run_and_the_first_version_that_it_made(registry) -> None:
    tracker = registry.tracker
    run_id = _run(tracker, "r", **{"promotion.champion": "true"})
    tracker.log_metric(run_id, "test_f1", 0.5)
    _run(tracker, "other")
    _versions(tracker, "m", *[run_id] * 10)
    for number in ("9", "10"):
        tracker.set_model_version_tag("m", number, "run_key", run_key("dag", "r"))

    found = record_of(tracker, "dag", "r")

    assert found.run.info.run_id == run_id
    assert (found.version.name, int(found.version.version)) == ("m", 9)
    assert (found.metrics, found.outcome.is_champion) == ({"test_f1": 0.5}, True)
    assert record_of(tracker, "another_dag", "r") == Record()


def test_the_latest_runs_are_the_newest_of_each_dag_run_of_that_dag(registry) -> None:
    tracker = registry.tracker
    _run(tracker, "first", began=1)
    _run(tracker, "second", began=2)
    again = _run(tracker, "second", began=3)
    nameless = _run(tracker, "", began=4)
    _run(tracker, "elsewhere", began=5, dag_id="another_dag")

    found = latest_runs(tracker, "dag", 10)

    assert list(found) == [nameless, "second", "first"]
    assert found["second"].info.run_id == again
    assert list(latest_runs(tracker, "dag", 2)) == [nameless, "second"]


def test_versions_are_listed_by_name_the_newest_first(registry) -> None:
    tracker = registry.tracker
    _versions(tracker, "b's", None)
    _versions(tracker, "a", *[None] * 10)

    assert [(one.name, int(one.version)) for one in all_versions(tracker)] == [
        *(("a", number) for number in range(10, 0, -1)),
        ("b's", 1),
    ]
    assert [one.name for one in all_versions(tracker, "b's")] == ["b's"]


def test_a_version_is_listed_with_its_own_aliases_and_the_metrics_of_its_run(registry) -> None:
    tracker = registry.tracker
    run_id = _run(tracker, "r")
    tracker.log_metric(run_id, "test_f1", 0.5)
    _versions(tracker, "a", run_id, **{"airflow.run_id": "r"})
    _versions(tracker, "b", None)
    tracker.set_registered_model_alias("a", "previous_champion", "1")
    tracker.set_registered_model_alias("a", "champion", "1")

    assert version_rows(tracker) == [
        {
            "name": "a", "version": "1", "aliases": ["champion", "previous_champion"], "metrics": {"test_f1": 0.5},
            "run_id": run_id, "dag_run_id": "r",
        },
        {"name": "b", "version": "1", "aliases": [], "metrics": {}, "run_id": None, "dag_run_id": None},
    ]  # fmt: skip
    assert version_rows(tracker, "c") == []


@pytest.mark.parametrize(
    ("times", "started_at", "duration_s"),
    [
        ({"queued_at": "2026-01-01T00:00:00Z"}, "2026-01-01T00:00:00Z", None),
        (
            {
                "queued_at": "2026-01-01T00:00:00Z",
                "start_date": "2026-01-01T00:00:01Z",
                "end_date": "2026-01-01T00:00:08.5Z",
            },
            "2026-01-01T00:00:01Z",
            8.5,
        ),
        ({}, None, None),
    ],
)
def test_a_list_shows_when_a_run_began_and_the_seconds_since_its_trigger(
    times: dict[str, str], started_at: str | None, duration_s: float | None
) -> None:
    summary = run_summary({"dag_run_id": "r", "state": "success", "conf": {}, **times})

    assert summary == {"dag_run_id": "r", "state": "success", "started_at": started_at, "duration_s": duration_s}
