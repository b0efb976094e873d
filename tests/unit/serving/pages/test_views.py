"""What people read on the pages: true, escaped, and with nothing from elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml.errors import AirflowDown
from serving.models.repository import ModelRepository
from serving.settings import ServingSettings
from serving.upstream.pipeline import PipelineMonitor
from tests.fakes import Airflow, Client, Registry, Service, service_of

PAGES = ("/success", "/failure", "/dashboard", "/docs")
PASSWORD = "a-secret-word"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def versions() -> list[dict[str, Any]]:
    """Two versions, one of which is champion."""
    return [
        {"version": "8", "aliases": [], "run_id": "b", "dag_run_id": HOSTILE, "metrics": {},
         "tags": {"gate.verdict": json.dumps({"passed": False, "reasons": [HOSTILE]})}},
        {"version": "7", "aliases": ["champion"], "run_id": "a", "dag_run_id": "run_1",
         "metrics": {"test_roc_auc": 0.985901},
         "tags": {"promoted.by": "ada" + HOSTILE, "promoted.at": "2026-01-01T10:00:00+00:00"}},
    ]  # fmt: skip


class Site:
    """The service with monitors of the test's own, asked as a person's browser does."""

    def __init__(self, settings: ServingSettings, folder: Path, tags: dict[str, str]) -> None:
        self.airflow = Airflow()
        self.registry = Registry(folder, tags)
        self.monitor = PipelineMonitor(self.airflow, "Airflow_Lab2")
        self.repository = ModelRepository(self.registry, "ad-click", settings.state_dir)
        self.registry.versions_now = versions()
        self.client = Client(service_of(settings, self.repository, self.monitor))

    def refresh(self) -> None:
        for part in (self.monitor, self.repository):
            part.refresh()

    def read(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", answer.text)


@pytest.fixture
def site(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> Site:
    return Site(replace(settings, airflow_password=PASSWORD), folder, tags)


def test_the_page_shows_the_run_its_tasks_the_version_and_its_metrics(site: Site, settings: ServingSettings) -> None:
    site.airflow.add("manual__1", "success")
    site.registry.aliases_now = {"champion": "7"}
    site.refresh()

    page = site.read("/success")

    for shown in (
        "The last run succeeded", "manual__1", "2026-01-01 00:00:00 UTC", "2026-01-01 00:00:09 UTC", "9.0 s",
        "load_data_task", "1.50", "<b>7</b> (champion)", "test_accuracy", "0.900000",
        f'href="{settings.airflow_url}/dags/Airflow_Lab2/runs/manual__1"',
        f'href="{settings.mlflow_url}/#/models/ad-click/versions/7"',
    ):  # fmt: skip
        assert shown in page
    assert "page of a" not in page


@pytest.mark.parametrize(("path", "state"), [("/success", "failed"), ("/failure", "success")])
def test_the_page_of_the_other_end_says_how_it_was(site: Site, path: str, state: str) -> None:
    site.airflow.add("manual__1", state)
    site.refresh()

    page = site.read(path)

    assert f"The last run {'failed' if state == 'failed' else 'succeeded'}" in page
    assert "page of a" in page


@pytest.mark.parametrize("path", ["/success", "/failure"])
def test_nothing_is_claimed_of_runs_before_airflow_answered(site: Site, path: str) -> None:
    site.airflow.error = AirflowDown("Airflow at http://a does not answer")
    site.refresh()

    page = site.read(path)

    assert "is not known" in page
    assert "Airflow at http://a does not answer" in page
    for claim in ("No run has finished", "succeeded", "The last run failed"):
        assert claim not in page
    assert "No run yet" not in site.read("/dashboard")


def test_a_page_that_may_be_old_says_so(site: Site) -> None:
    site.airflow.add("manual__1", "success")
    site.refresh()
    site.airflow.error = AirflowDown("away")
    site.refresh()

    assert "there may be a newer run" in site.read("/success")


def test_the_dashboard_marks_the_champion_and_the_live_version(site: Site) -> None:
    site.airflow.add("run_1", "failed")
    site.airflow.add("run_2", "success")
    site.registry.aliases_now = {"champion": "7"}
    site.refresh()

    page = site.read("/dashboard")

    table = page[page.index("<caption>Runs") :]
    assert table.index("run_2") < table.index("run_1")
    assert '7</a> <b class="mark success">champion</b> <span class="mark">live</span>' in page
    assert "8</a></th>" in page
    assert "did not pass" in page
    assert "by ada" in page
    assert "0.985901" in page


@pytest.mark.parametrize("path", PAGES)
def test_nothing_that_others_wrote_is_markup(site: Site, path: str) -> None:
    site.airflow.add(HOSTILE, "failed")
    site.airflow.add(HOSTILE + "2", "running")
    site.registry.aliases_now = {"champion": "7"}
    site.refresh()
    site.airflow.error = AirflowDown(HOSTILE)
    site.registry.error = AirflowDown(HOSTILE)
    site.repository.main.error = HOSTILE
    site.refresh()

    page = site.read(path)

    assert page.count("<script") == 1
    assert "alert(1)</script" not in page
    assert "<img" not in page


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_nothing_from_elsewhere_and_may_be_framed_by_nobody(site: Site, path: str) -> None:
    site.airflow.add("run_1", "success")
    site.refresh()

    answer = site.client.get(path)

    loaded = re.findall(r'<(?:link|script|img|iframe)[^>]*(?:href|src)="([^"]+)"', answer.text)
    assert loaded == ["/static/style.css", "/static/icon.svg", "/static/refresh.js"]
    assert {site.client.get(one).status_code for one in loaded} == {200}
    assert "style=" not in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_style_knows_the_dark(site: Site) -> None:
    assert "prefers-color-scheme: dark" in site.client.get("/static/style.css").text


@pytest.mark.parametrize("path", ["/success", "/dashboard", "/status", "/ready", "/docs", "/openapi.json", "/metrics"])
def test_no_page_tells_the_password(site: Site, path: str) -> None:
    assert PASSWORD not in site.client.get(path).text


def test_ready_says_what_it_waits_for(site: Site) -> None:
    assert site.client.get("/ready").json()["reason"] == "it was not asked yet"
    site.refresh()
    assert "promote one" in site.client.get("/ready").json()["reason"]
    site.registry.aliases_now, site.registry.fetch_error = {"champion": "7"}, AirflowDown("S3 is away")
    site.refresh()

    answer = site.client.get("/ready")

    assert answer.status_code == 503
    assert "S3 is away" in answer.json()["reason"]


def test_status_tells_versions_as_text_and_moments_in_utc(site: Site) -> None:
    site.registry.aliases_now = {"champion": "7"}
    site.refresh()

    found = site.client.get("/status").json()["model"]

    assert found["version"] == "7"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["loaded_at"])


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


def test_names_of_runs_are_escaped(service: Service) -> None:
    service.airflow.add("<img src=x onerror=alert(1)>", "success")
    service.refresh()

    for route in ("/success", "/dashboard"):
        assert "<img" not in service.client.get(route).text


def test_pages_answer_json_to_those_who_ask_for_it(service: Service) -> None:
    service.airflow.add("done", "success")
    service.refresh()

    answer = service.client.get("/success", headers={"Accept": "application/json"})

    assert answer.json()["pipeline"]["last_run"]["dag_run_id"] == "done"
