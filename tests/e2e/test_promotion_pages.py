"""What people do about a version in a browser: approve it in Airflow, see why one was refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from tests.e2e.test_pages import _airflow, _open
from tests.support import PIPELINE, RunningStack, wait_for

APPROVAL = "approve_model_task"


def test_a_version_is_approved_in_airflow(browser: Any, running: RunningStack, shot: Callable[..., None]) -> None:
    ask = {"promotion": "approve", "model": {"name": "seen"}}
    run_id = running.trigger("approved_in_the_browser", model_name="seen", rows=400, config=ask)
    wait_for(lambda: running.tasks(run_id)[APPROVAL]["state"] == "awaiting_input", "the approval to be asked for", 240)

    page = _airflow(browser, running, f"/dags/{PIPELINE}/runs/{run_id}/tasks/{APPROVAL}/required_actions")
    page.get_by_text("better than a dummy").first.wait_for()
    shot(page, "airflow-approval")
    page.get_by_role("button", name="Approve").click()

    assert running.finished(run_id) == "success"
    (version,) = running.versions(run_id, "seen")
    assert running.champion("seen") == str(version.version)
    assert version.tags["promotion.approval"] == "approved by admin"
    page.context.close()


def test_a_version_that_the_gate_refused_says_why(
    browser: Any, running: RunningStack, shown_run: str, shot: Callable[..., None]
) -> None:
    run_id = running.trigger("refused_in_the_browser", C=0.0001)
    assert running.finished(run_id) == "failed"
    (version,) = running.versions(run_id)
    page = _airflow(browser, running, f"/dags/{PIPELINE}/runs/{quote(run_id)}")
    page.get_by_text("promote_model_task").first.wait_for()
    shot(page, "airflow-refused")
    page.context.close()

    login = running.info.logins()["mlflow"]
    page = _open(browser, f"{login['url']}/#/models/ad-click/versions/{version.version}", login)
    page.get_by_text("failed").first.wait_for()
    shot(page, "mlflow-refused")
    run = running.mlflow_run(run_id)
    artefacts = f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/gate/verdict.html"
    page.goto(login["url"] + artefacts)
    page.frame_locator("iframe").get_by_text("worse by more than the margin").first.wait_for()
    shot(page, "mlflow-verdict")
    page.context.close()
