"""What people see: Airflow, MLflow, Flower and the service, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.support import PIPELINE, RunningStack, wait_for

TIMEOUT_MS = 120_000


def _open(browser: Any, url: str, login: dict[str, str] | None = None, width: int = 1280) -> Any:
    credentials = {"username": login["username"], "password": login["password"]} if login else None
    context = browser.new_context(viewport={"width": width, "height": 900}, http_credentials=credentials)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(url)
    return page


def _airflow(browser: Any, running: RunningStack, path: str) -> Any:
    login = running.info.logins()["airflow"]
    page = _open(browser, f"{login['url']}/auth/login/")
    page.fill("input[name=username]", login["username"])
    page.fill("input[name=password]", login["password"])
    page.click("input[type=submit], button[type=submit]")
    page.wait_for_load_state("networkidle")
    page.goto(login["url"] + path)
    return page


def test_airflow_shows_the_run_and_its_tasks(
    browser: Any, running: RunningStack, shown_run: str, shot: Callable[..., None]
) -> None:
    page = _airflow(browser, running, f"/dags/{PIPELINE}/runs/{shown_run}")

    page.get_by_text("promote_model_task").first.wait_for()

    shot(page, "airflow-run")
    page.context.close()


def test_airflows_form_triggers_a_run(
    browser: Any, running: RunningStack, shown_run: str, shot: Callable[..., None]
) -> None:
    page = _airflow(browser, running, f"/dags/{PIPELINE}")
    page.get_by_role("button", name="Trigger").first.click()

    for title in ("Data set", "Test part", "Seed", "Iterations"):
        page.get_by_text(title, exact=False).first.wait_for()

    shot(page, "airflow-trigger")
    before = {run["dag_run_id"] for run in running.airflow.dag_runs(PIPELINE, limit=100)}
    page.get_by_role("dialog").get_by_role("button", name="Trigger").click()

    def new() -> set[str]:
        return {run["dag_run_id"] for run in running.airflow.dag_runs(PIPELINE, limit=100)} - before

    (run_id,) = wait_for(new, "the run that the form asked for")
    assert running.finished(run_id) == "success"
    page.context.close()


def test_mlflow_shows_the_run_and_the_champion(
    browser: Any, running: RunningStack, shown_run: str, shot: Callable[..., None]
) -> None:
    login = running.info.logins()["mlflow"]
    run = running.mlflow_run(shown_run)
    page = _open(browser, f"{login['url']}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}", login)

    page.get_by_text(shown_run).first.wait_for()
    page.get_by_text("test_accuracy").first.wait_for()
    shot(page, "mlflow-run")

    page.goto(f"{login['url']}/#/models/ad-click")
    page.get_by_text("champion").first.wait_for()
    shot(page, "mlflow-model")
    page.context.close()


def test_a_version_promoted_in_mlflow_by_hand_is_served(browser: Any, running: RunningStack, shown_run: str) -> None:
    (version,) = running.versions(shown_run)
    number = str(version.version)
    running.mlflow.delete_registered_model_alias("ad-click", "champion")
    login = running.info.logins()["mlflow"]
    page = _open(browser, f"{login['url']}/#/models/ad-click/versions/{number}", login)
    # The pencil beside the aliases opens the window in which they are written.
    page.get_by_role("button", name="Edit aliases").or_(page.get_by_label("Edit aliases")).first.click()
    page.get_by_role("dialog").get_by_role("combobox").fill("champion")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Save aliases").click()

    wait_for(lambda: running.champion() == number, "the alias to be moved")

    wait_for(lambda: running.status()["model"]["version"] == number, "the version to be served")
    page.context.close()


def test_mlflow_compares_runs_with_their_plots_side_by_side(
    browser: Any, running: RunningStack, shown_run: str, shot: Callable[..., None]
) -> None:
    login = running.info.logins()["mlflow"]
    runs = [running.mlflow_run(run_id).info for run_id in (shown_run, "first")]
    asked = {"runs": [run.run_id for run in runs], "experiments": [runs[0].experiment_id]}
    query = "&".join(f"{name}={quote(json.dumps(value))}" for name, value in asked.items())
    page = _open(browser, f"{login['url']}/#/compare-runs?{query}", login)

    # The tables draw only the rows that are in sight.
    for text in ("Comparing 2 Runs", "model.parameters.C", "learning/validation_log_loss"):
        page.get_by_text(text).first.wait_for(state="attached")
    for plot in ("roc_curve.png", "confusion_matrix.png", "threshold_curve.png"):
        page.get_by_text(plot, exact=True).first.wait_for(state="attached")
    page.get_by_text("roc_curve.png", exact=True).first.dispatch_event("click")

    drawn = "Array.from(document.querySelectorAll('img[alt=\"roc_curve.png\"]')).filter(one => one.naturalWidth > 300)"
    page.wait_for_function(f"{drawn}.length === 2")
    shot(page, "mlflow-compare")
    page.context.close()


def test_flower_shows_the_worker(
    browser: Any, running: RunningStack, shown_run: str, shot: Callable[..., None]
) -> None:
    login = running.info.logins()["flower"]
    page = _open(browser, f"{login['url']}/workers", login)

    page.get_by_text("celery@").first.wait_for()

    shot(page, "flower-workers")
    page.context.close()


@pytest.mark.parametrize("width", [390, 820, 1280])
@pytest.mark.parametrize("path", ["/success", "/failure", "/dashboard", "/docs"])
def test_the_service_shows_its_pages_at_every_width(
    browser: Any, running: RunningStack, shown_run: str, shot: Callable[..., None], path: str, width: int
) -> None:
    wait_for(lambda: running.status()["pipeline"]["last_run"], "the last run to be known")
    page = _open(browser, running.url(path), width=width)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    page.get_by_role("heading").first.wait_for()

    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    assert errors == []
    shot(page, f"service{path.replace('/', '-')}-{width}")
    page.context.close()


def test_the_last_run_is_a_click_away(browser: Any, running: RunningStack, shown_run: str) -> None:
    wait_for(lambda: running.status()["pipeline"]["last_run"], "the last run to be known")
    last = running.status()["pipeline"]["last_run"]["dag_run_id"]
    page = _open(browser, running.url("/"))

    page.get_by_role("link", name=last).first.wait_for()

    page.context.close()
