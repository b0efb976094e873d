"""What gc takes and what it leaves; on a real MLflow store and a bucket in memory."""

from __future__ import annotations

from tests.unit.infra.cli.conftest import Place


def test_a_run_whose_dag_run_is_over_or_gone_is_closed(place: Place) -> None:
    over, gone, alive = (place.run(name, "RUNNING") for name in ("over", "gone", "alive"))
    place.states = {"over": "failed", "alive": "running"}

    assert set(place.gc("--dry-run")["open_runs"]) == {over, gone}
    assert place.tracker.get_run(over).info.status == "RUNNING"
    assert set(place.gc()["open_runs"]) == {over, gone}

    status = {run: place.tracker.get_run(run).info.status for run in (over, gone, alive)}
    assert status == {over: "KILLED", gone: "KILLED", alive: "RUNNING"}
    assert place.gc()["open_runs"] == []


def test_a_run_whose_teardown_is_at_work_is_left_alone(place: Place) -> None:
    place.run("closing", "RUNNING")
    place.states = {"closing": "success"}
    place.call.airflow.task_instances = lambda dag_id, run_id: [{"task_id": "close_run_task", "state": "running"}]

    assert place.gc()["open_runs"] == []


def test_a_candidate_of_a_search_goes_on_as_long_as_its_run(place: Place) -> None:
    going, over = place.run("going", "RUNNING"), place.run("over", "RUNNING")
    place.states = {"going": "running", "over": "failed"}
    none = {"airflow.run_id": "", "airflow.dag_id": ""}
    place.run("going-0", "RUNNING", **{"mlflow.parentRunId": going, **none})
    left = place.run("over-0", "RUNNING", **{"mlflow.parentRunId": over, **none})

    assert set(place.gc()["open_runs"]) == {over, left}


def test_an_open_run_that_is_young_stays(place: Place) -> None:
    young = place.run("young", "RUNNING", days=1)

    assert place.gc()["open_runs"] == []
    assert place.gc("--older-than", "0.5")["open_runs"] == [young]


def test_old_tables_go_and_what_is_needed_to_train_again_stays(place: Place) -> None:
    place.run("old")
    place.run("young")
    place.put("runs/young/raw.parquet", days=1)
    place.put("runs/young/X_test.parquet", days=1)

    assert place.gc("--dry-run")["intermediate"] == ["runs/old/X_test.parquet", "runs/old/raw.parquet"]
    assert "runs/old/raw.parquet" in place.store.objects
    place.gc()

    left = [each.key for each in place.store.listed("runs/")]
    assert left == [
        "runs/old/config.json",
        "runs/young/X_test.parquet",
        "runs/young/config.json",
        "runs/young/raw.parquet",
    ]


def test_nothing_of_a_version_with_an_alias_or_of_a_run_that_goes_on(place: Place) -> None:
    place.tracker.create_registered_model("ad-click")
    run_id = place.run("live")
    place.tracker.create_model_version("ad-click", "file:///x", run_id, tags={"run_key": "live"})
    place.tracker.set_registered_model_alias("ad-click", "champion", "1")
    place.run("going", "RUNNING")
    place.states = {"going": "running"}

    assert place.gc("--older-than", "0") == {"dry_run": False, "open_runs": [], "intermediate": [], "unused": []}
    assert len(place.tracker.search_model_versions("name = 'ad-click'")) == 1


def test_versions_stay_even_without_an_alias(place: Place) -> None:
    place.tracker.create_registered_model("ad-click")
    run_id = place.run("plain")
    place.tracker.create_model_version("ad-click", "file:///x", run_id, tags={"run_key": "plain"})

    assert len(place.gc()["intermediate"]) == 2
    assert len(place.tracker.search_model_versions("name = 'ad-click'")) == 1


def test_objects_that_nothing_refers_to_go_and_the_history_stays(place: Place) -> None:
    place.run("reader", **{"data.uri": "s3://trackyard/datasets/aa/used.csv"})
    place.run("folder", **{"data.uri": "s3://trackyard/datasets/dd/parts/"})
    place.put("datasets/aa/used.csv")
    place.put("datasets/bb/unused.csv")
    place.put("datasets/cc/new.csv", days=1)
    place.put("datasets/dd/parts/0.parquet")
    place.put("runs/nobody/raw.parquet")
    place.put("history/ad-click/00000001.json")

    found = place.gc()

    assert found["unused"] == ["runs/nobody/raw.parquet", "datasets/bb/unused.csv"]
    kept = set(place.store.objects)
    assert {"datasets/aa/used.csv", "datasets/cc/new.csv", "datasets/dd/parts/0.parquet"} <= kept
    assert "history/ad-click/00000001.json" in kept
    assert "datasets/bb/unused.csv" not in kept


def test_a_run_that_was_deleted_in_mlflow_keeps_its_data_set(place: Place) -> None:
    run_id = place.run("deleted", **{"data.uri": "s3://trackyard/datasets/aa/used.csv"})
    place.tracker.delete_run(run_id)
    place.put("datasets/aa/used.csv")

    assert place.gc()["unused"] == []
