"""What is told of the pipeline, the models and the servers, and who promoted a version."""

from __future__ import annotations

from serving.api.status import promotion
from tests.fakes import Service


def test_a_promotion_is_told_by_either_name_of_its_tags() -> None:
    told = {"by": "ada", "at": "2026-01-01", "reason": "better"}

    for prefix in ("promoted", "promotion"):
        assert promotion({f"{prefix}.{key}": value for key, value in told.items()})["promoted"] == told
    assert promotion({})["promoted"] is None
    # What a run's decision left behind, which promoted nothing, is no promotion; and two are never mixed.
    assert promotion({"promotion.reason": "is worse"})["promoted"] is None
    earlier = {f"promotion.{key}": "earlier" for key in told}
    assert promotion({"promoted.by": "ada", "promoted.at": "now", **earlier})["promoted"] == {
        "by": "ada", "at": "now", "reason": None,
    }  # fmt: skip


def test_status_tells_the_last_run_what_runs_and_the_model(service: Service) -> None:
    service.airflow.add("done", "success")
    service.airflow.add("under_way", "running")
    service.registry.aliases_now = {"champion": "7", "challenger": "8"}
    service.refresh()

    found = service.status()

    assert found["pipeline"]["last_run"]["dag_run_id"] == "done"
    assert found["pipeline"]["running"][0]["at"] == ["load_data_task"]
    assert (found["model"]["name"], found["model"]["version"]) == ("ad-click", "7")
    assert found["model"]["aliases"] == ["champion"]
    assert found["upstream"]["airflow"]["ok"]
    assert found["upstream"]["mlflow"]["ok"]
    assert set(found) == {"pipeline", "model", "models", "upstream"}
    assert set(found["pipeline"]) == {"last_run", "running"}
    assert {"name", "version", "aliases", "run_id", "metrics", "loaded_at", "champion", "error"} <= set(found["model"])
    assert set(found["upstream"]["airflow"]) == set(found["upstream"]["mlflow"]) == {"ok", "url", "age_s", "error"}


def test_an_upstream_that_is_down_leaves_the_last_state_and_the_reason(service: Service) -> None:
    service.airflow.add("done", "success")
    service.registry.aliases_now = {"champion": "7"}
    service.refresh()
    service.airflow.error = RuntimeError("no <b>route</b> to host")
    service.registry.error = RuntimeError("gone")
    service.refresh()

    answer = service.client.get("/status")

    assert answer.status_code == 200
    assert answer.json()["pipeline"]["last_run"]["dag_run_id"] == "done"
    assert answer.json()["model"]["version"] == "7"
    assert answer.json()["upstream"]["airflow"] | {"url": "", "age_s": 0} == {
        "ok": False, "url": "", "age_s": 0, "error": "no <b>route</b> to host",
    }  # fmt: skip
    assert "<b>route</b>" not in service.client.get("/success").text
