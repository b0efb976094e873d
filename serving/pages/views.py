"""The pages for people. Pure, over what the monitors know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Response, current_app, redirect, render_template, request, send_from_directory

from ml.evaluation.metrics import SHOWN
from serving.api import openapi, status
from serving.pages import charts
from serving.settings import ServingSettings
from serving.web.messages import as_json

_PAGE_ROWS = 25
_STATIC = Path(__file__).with_name("static")


def moment(text: str | None) -> str:
    """A time of Airflow's, for people: to the second, in UTC; the page's own clock would be another one."""
    return f"{text[:19].replace('T', ' ')} UTC" if text else ""


def _part(name: str) -> Any:
    return current_app.extensions["trackyard"][name]


def _status() -> dict[str, Any]:
    return status.status(_part("settings"), _part("monitor"), _part("repository"))


def _wants_json() -> bool:
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def _answer(template: str, content: dict[str, Any], **shown: Any) -> Response:
    """A page, or its content as JSON for those who ask for that."""
    if _wants_json():
        return _json(content)
    page = render_template(template, status=content, settings=_part("settings"), **shown)
    return Response(page, mimetype="text/html")


def _json(content: Any) -> Response:
    return Response(as_json(content), mimetype="application/json")


def index() -> Any:
    """Leads to the page of how the last finished run ended; to the one that claims no success where none has."""
    last = _part("monitor").state.last_run
    succeeded = last is not None and last["state"] == "success"
    where = "/success" if succeeded else "/failure"
    return _json({"location": where}) if _wants_json() else redirect(where)


def success() -> Any:
    """The page of a run that succeeded; it says so when the last one did not."""
    return _run_page("success")


def failure() -> Any:
    """The page of a run that failed; it says so when the last one did not."""
    return _run_page("failed")


def _run_page(expected: str) -> Response:
    content = _status()
    last = content["pipeline"]["last_run"]
    return _answer("run.html", content, expected=expected, gantt=charts.gantt(last["tasks"] if last else []))


def dashboard() -> Any:
    """The runs over time, the tasks of the chosen one, and the versions with their metrics."""
    monitor, repository = _part("monitor"), _part("repository")
    now, runs = _status(), monitor.state.runs
    last = now["pipeline"]["last_run"]
    chosen_id = request.args.get("run") or (runs[0]["dag_run_id"] if runs else "")
    chosen = next((run for run in runs if run["dag_run_id"] == chosen_id), None)
    tasks = monitor.tasks_of(chosen_id) if chosen else None
    if tasks is None and chosen and last and last["dag_run_id"] == chosen_id:
        tasks = last["tasks"]
    page = _page_number(len(runs))
    content = {
        **now,
        "runs": runs,
        "chosen": {**chosen, "tasks": tasks} if chosen else None,
        "versions": status.versions(repository, repository.main.name),
    }
    return _answer(
        "dashboard.html",
        content,
        rows=runs[page * _PAGE_ROWS : (page + 1) * _PAGE_ROWS],
        page=page,
        pages=max(1, -(-len(runs) // _PAGE_ROWS)),
        asked=chosen_id,
        history=charts.history(runs, chosen_id),
        gantt=charts.gantt(tasks or []),
        trend=charts.trend(content["versions"], "test_roc_auc"),
        shown=SHOWN,
    )


def _page_number(count: int) -> int:
    text = request.args.get("page", "0")
    return min(int(text), (count - 1) // _PAGE_ROWS) if count and text.isdecimal() and len(text) < 6 else 0


def docs() -> Any:
    """The API's description for people."""
    settings: ServingSettings = _part("settings")
    document = openapi.document(_part("routes"), _part("repository").main.live, settings)
    return _json(document) if _wants_json() else render_template("docs.html", api=document, settings=settings)


def static(name: str) -> Response:
    """A file that the pages need."""
    return send_from_directory(_STATIC, name)
