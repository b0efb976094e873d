"""`runs`, over a real MLflow store."""

from __future__ import annotations

import json


def test_runs_have_what_both_servers_know(registry, versions) -> None:
    versions(2)
    registry.airflow.listed.insert(0, registry.dag_run("r3", "running"))

    found = json.loads(registry("runs", "--json").stdout)

    assert [row["dag_run_id"] for row in found] == ["r3", "r2", "r1"]
    assert found[0]["model"] is None
    assert found[0]["metrics"] == {}
    assert found[1]["model"] == {"name": "ad-click", "version": "2"}
    assert (found[1]["state"], found[1]["duration_s"], found[1]["metrics"]) == ("success", 8.5, {"test_f1": 0.2})
    assert len(registry("runs", "--limit", "1").stdout.splitlines()) == 2
