"""Where a version comes from, and whether it can be trained again; over a real MLflow store."""

from __future__ import annotations

import json


def test_lineage_tells_origin_verdict_and_history(registry, versions) -> None:
    versions(2)
    registry.tracker.set_model_version_tag("ad-click", "2", "gate.verdict", '{"passed": true, "reasons": []}')
    registry("promote", "2")

    found = json.loads(registry("lineage", "2", "--json").stdout)
    shown = registry("lineage", "2").stdout

    assert found["data"]["digest"] == "d0"
    assert (found["dag_run_id"], found["validation"], found["aliases"]) == ("r2", "passed", ["champion"])
    assert found["verdict"] == {"passed": True, "reasons": []}
    assert found["metrics"] == {"test_f1": 0.2}
    assert [entry["after"] for entry in found["history"]] == ["2"]
    assert "trackyard promote" in shown
    assert "Airflow_Lab2 r2" in shown


def test_lineage_goes_back_from_data_and_from_a_run(registry, versions) -> None:
    versions(3)

    assert [row["version"] for row in json.loads(registry("lineage", "--data", "d1", "--json").stdout)] == ["1", "3"]
    assert registry("lineage", "--run", "r2").stdout.splitlines()[1].split() == ["ad-click", "2", "r2", "d0"]
    assert "no version came from d7" in registry("lineage", "--data", "d7").stdout
    assert registry("lineage").exit_code == 2
    assert registry("lineage", "1", "--run", "r2").exit_code == 2
    assert registry("lineage", "--data", "'").exit_code == 2


def test_a_version_of_somebody_elses_cannot_be_trained_again(registry, versions) -> None:
    versions(1)
    registry.tracker.delete_model_version_tag("ad-click", "1", "run_key")

    assert "was not made by this pipeline" in registry("reproduce", "1").stderr
