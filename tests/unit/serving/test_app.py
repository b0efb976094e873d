"""Every route, with servers that answer and with none."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml.errors import BadInput, HashMismatch, Unavailable
from ml.registry.loading import LoadedModel, load_folder
from serving.settings import ServingSettings
from serving.upstream.registry import Champion
from tests.fakes import ROW, Service

ROUTES = ("/success", "/failure", "/dashboard", "/health", "/ready", "/status", "/openapi.json", "/docs", "/metrics")


@pytest.fixture
def service(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> Service:
    return Service(settings, folder, tags)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("known", [True, False])
def test_no_route_fails_whatever_is_known(service: Service, route: str, known: bool) -> None:
    if known:
        service.airflow.add("run_1", "success")
        service.registry.aliases_now = {"champion": "7"}
        service.refresh()

    answer = service.client.get(route)

    assert answer.status_code == (503 if route == "/ready" and not known else 200)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("state", "page"), [("success", "/success"), ("failed", "/failure")])
def test_the_root_leads_to_how_the_last_run_ended(service: Service, state: str, page: str) -> None:
    service.airflow.add("earlier", "failed" if state == "success" else "success")
    service.airflow.add("last", state)
    service.airflow.add("under_way", "running")
    service.refresh()

    assert service.client.get("/").headers["Location"] == page


def test_the_root_claims_no_success_before_any_run(service: Service) -> None:
    service.refresh()

    assert service.client.get("/").headers["Location"] == "/failure"
    assert "No run has finished yet" in service.client.get("/failure").text


def test_the_page_of_success_does_not_claim_it_after_a_failure(service: Service) -> None:
    service.airflow.add("bad", "failed")
    service.refresh()

    page = service.client.get("/success").text

    assert "The last run failed" in page
    assert "The last run succeeded" not in page


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


def test_names_of_runs_are_escaped(service: Service) -> None:
    service.airflow.add("<img src=x onerror=alert(1)>", "success")
    service.refresh()

    for route in ("/success", "/dashboard"):
        assert "<img" not in service.client.get(route).text


def test_predict_answers_with_the_version_in_body_and_headers(service: Service) -> None:
    service.registry.aliases_now = {"champion": "7"}
    service.refresh()

    answer = service.client.post("/predict", json={"rows": [ROW]})

    assert answer.status_code == 200
    assert answer.json()["model"] == {"name": "ad-click", "version": "7"}
    assert (answer.headers["X-Model-Name"], answer.headers["X-Model-Version"]) == ("ad-click", "7")


def test_predict_without_a_model_says_so(service: Service) -> None:
    answer = service.client.post("/predict", json={"rows": [ROW]})

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "no_model"
    assert answer.json()["error"]["message"] == "no model is live: no version was promoted yet: promote one"


def test_predict_says_that_the_champion_is_being_fetched(service: Service) -> None:
    service.repository.main.champion = Champion("7", "0" * 64, ("champion",), "r")

    answer = service.client.post("/predict", json={"rows": [ROW]})

    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == (
        "no model is live: version 7 is being fetched: ask again in a few seconds"
    )


def test_predict_tells_why_the_champion_is_not_served(service: Service) -> None:
    service.registry.aliases_now = {"champion": "7"}
    service.registry.fetch_error = HashMismatch("its file was changed")
    service.repository.refresh()

    answer = service.client.post("/predict", json={"rows": [ROW]})

    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "no model is live: version 7 was not loaded: its file was changed"
    model = service.client.get("/status").json()["model"]
    assert (model["champion"], model["version"]) == ("7", None)


def test_a_process_that_cannot_predict_is_told_with_its_reason(service: Service) -> None:
    service.registry.aliases_now = {"champion": "7"}
    service.repository.refresh()
    live = service.repository.main.live
    for error, status in ((Unavailable("its process ended"), 503), (BadInput("too large"), 422)):

        def fail(columns: Any, error: Exception = error) -> Any:
            raise error

        predictor = replace(live.predictor, form=None, elsewhere=fail)
        service.repository.main.live = replace(live, predictor=predictor)

        answer = service.client.post("/predict", json={"rows": [ROW]})

        assert (answer.status_code, answer.json()["error"]["message"]) == (status, str(error))


def test_a_body_over_the_limit_is_refused_before_it_is_read(service: Service) -> None:
    service.registry.aliases_now = {"champion": "7"}
    service.refresh()

    answer = service.client.post("/predict", content=b"x" * 300_000, kind="application/json")

    assert answer.status_code == 413
    assert answer.json()["error"]["problems"][0]["field"] == "body"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/status", 405)])
def test_other_errors_are_json_too(service: Service, method: str, path: str, status: int) -> None:
    answer = service.client.request(method, path)

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "problems"}


def test_pages_answer_json_to_those_who_ask_for_it(service: Service) -> None:
    service.airflow.add("done", "success")
    service.refresh()

    answer = service.client.get("/success", headers={"Accept": "application/json"})

    assert answer.json()["pipeline"]["last_run"]["dag_run_id"] == "done"


def test_metrics_count_by_route_and_not_by_path(service: Service) -> None:
    service.client.get("/health")
    service.client.get("/nothing/at/all")

    text = service.client.get("/metrics").text

    assert 'trackyard_requests_total{route="/health",status="200"} 1.0' in text
    assert "nothing" not in text


def test_the_example_of_the_description_can_be_sent(
    service: Service, folder: Path, tags: dict[str, str], model: LoadedModel
) -> None:
    service.registry.aliases_now = {"champion": "7"}
    service.refresh()
    document = service.client.get("/openapi.json").json()

    example = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]

    assert service.client.post("/predict", json=example).status_code == 200
    assert load_folder(folder, name="a", version="1", run_id="", tags=tags).inputs == model.inputs


ASK = """
import os
from serving.app import app_from_env
from tests.fakes import Client
client = Client(app_from_env(os.environ))
assert client.get("/health").text == "ok"
assert client.get("/ready").status_code == 503
found = client.get("/status")
assert found.status_code == 200
assert not found.json()["upstream"]["airflow"]["ok"]
print(sorted(thread.name for thread in __import__("threading").enumerate()))
"""


def given(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "TRACKYARD_AIRFLOW_URL": "http://127.0.0.1:9",
        "TRACKYARD_AIRFLOW_USERNAME": "status",
        "TRACKYARD_AIRFLOW_PASSWORD": "a-secret-word",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "TRACKYARD_SERVING_STATE": str(tmp_path / "state"),
    }


def ask(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[3]
    return subprocess.run(
        [sys.executable, "-c", ASK], cwd=root, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_application_answers_with_every_server_away(tmp_path: Path) -> None:
    done = ask(given(tmp_path))

    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("mlflow", "airflow"):
        assert name in done.stdout
    assert "a-secret-word" not in done.stdout + done.stderr


def test_a_missing_setting_is_named_before_anything_starts(tmp_path: Path) -> None:
    done = ask({**given(tmp_path), "TRACKYARD_AIRFLOW_PASSWORD": ""})

    assert done.returncode != 0
    assert "TRACKYARD_AIRFLOW_PASSWORD" in done.stderr
