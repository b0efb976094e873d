"""`trackyard gc`: what it tells people and programs."""

from __future__ import annotations

from tests.unit.infra.cli.conftest import Place


def test_people_are_told_what_goes(place: Place) -> None:
    place.run("old", "RUNNING")
    place.put("datasets/bb/unused.csv")

    dry = place.call("gc", "--dry-run").stdout
    done = place.call("gc").stdout

    assert "datasets/bb/unused.csv (10 bytes)" in dry
    assert "1 open runs, 2 intermediate and 1 unused objects (30 bytes) would go" in dry
    assert "closed MLflow run" in done
    assert "removed" in done


def test_each_thing_that_goes_is_a_line_of_its_own_before_the_sum(place: Place) -> None:
    run_id = place.run("old", "RUNNING")
    place.put("datasets/bb/unused.csv")

    lines = place.call("gc", "--dry-run").stdout.splitlines()

    assert lines == [
        f"open run      {run_id} of old, whose DAG run is over",
        "intermediate  runs/old/X_test.parquet (10 bytes)",
        "intermediate  runs/old/raw.parquet (10 bytes)",
        "unused        datasets/bb/unused.csv (10 bytes)",
        "1 open runs, 2 intermediate and 1 unused objects (30 bytes) would go",
    ]
    assert "datasets/bb/unused.csv" in place.store.objects


def test_programs_are_told_the_same_and_whether_it_was_done(place: Place) -> None:
    run_id = place.run("old", "RUNNING")
    place.put("datasets/bb/unused.csv")
    same = {
        "open_runs": [run_id],
        "intermediate": ["runs/old/X_test.parquet", "runs/old/raw.parquet"],
        "unused": ["datasets/bb/unused.csv"],
    }

    assert place.gc("--dry-run") == {"dry_run": True, **same}
    assert place.gc() == {"dry_run": False, **same}


def test_so_many_days_stay_by_default_and_none_may_be_less_than_zero(place: Place) -> None:
    place.put("datasets/aa/younger.csv", days=29.9)
    place.put("datasets/bb/older.csv", days=30.1)

    assert place.gc("--dry-run")["unused"] == ["datasets/bb/older.csv"]
    assert place.gc("--dry-run", "--older-than", "29")["unused"] == ["datasets/aa/younger.csv", "datasets/bb/older.csv"]
    assert place.call("gc", "--older-than", "-1").exit_code == 2
