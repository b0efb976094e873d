"""The Flask application: routes over what the boards know and the live model."""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, jsonify, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from serving import openapi, status
from serving.airflow_client import AirflowClient
from serving.champion import POLL_S as CHAMPION_POLL_S
from serving.champion import ModelHolder
from serving.pipeline import POLL_S as PIPELINE_POLL_S
from serving.pipeline import PipelineBoard, keep_refreshing
from serving.registry_client import MlflowRegistry
from serving.scoring import RequestRefused, parse, score
from serving.settings import ServingSettings
from serving.telemetry import Telemetry
from serving.versions import POLL_S as VERSIONS_POLL_S
from serving.versions import VersionBoard

log = logging.getLogger(__name__)
pages = Blueprint("pages", __name__)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(
    settings: ServingSettings,
    *,
    board: PipelineBoard | None = None,
    holder: ModelHolder | None = None,
    versions: VersionBoard | None = None,
    start_background: bool = True,
) -> Flask:
    """Builds the application.

    Args:
        settings: Where everything is.
        board: The pipeline's state; one that asks Airflow when None.
        holder: The live model; one that asks MLflow when None.
        versions: The registered versions; a board that asks MLflow when None.
        start_background: Whether the threads that ask Airflow and MLflow start now. Requests never wait for them.
    """
    app = Flask("serving")
    registry = MlflowRegistry(settings.mlflow_uri, settings.model_name)
    if board is None:
        airflow = AirflowClient(
            settings.airflow_api_url or settings.airflow_url, settings.airflow_username, settings.airflow_password
        )
        board = PipelineBoard(airflow, settings.dag_id)
    holder = holder or ModelHolder(registry, settings.model_name, settings.state_dir)
    versions = versions or VersionBoard(registry)
    app.extensions["trackyard"] = {
        "settings": settings,
        "board": board,
        "holder": holder,
        "versions": versions,
        "telemetry": Telemetry(board, holder),
    }
    # One more than the limit: a body without a length is cut off there, and must not pass for a whole one.
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.filters["moment"] = _moment
    app.register_blueprint(pages)
    app.register_error_handler(RequestRefused, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    app.before_request(_start_clock)
    app.after_request(_finish)
    if start_background:
        keep_refreshing(holder.refresh, CHAMPION_POLL_S, "champion")
        keep_refreshing(board.refresh, PIPELINE_POLL_S, "pipeline")
        keep_refreshing(versions.refresh, VERSIONS_POLL_S, "versions")
    return app


def _moment(text: str | None) -> str:
    """A time of Airflow's, for people: to the second, in UTC; the page's own clock would be another one."""
    return f"{text[:19].replace('T', ' ')} UTC" if text else ""


def _part(name: str) -> Any:
    return current_app.extensions["trackyard"][name]


def _status() -> dict[str, Any]:
    return status.status(_part("settings"), _part("board"), _part("holder"))


def _wants_json() -> bool:
    best: str = request.accept_mimetypes.best_match(["text/html", "application/json"], default="text/html")
    return best == "application/json"


@pages.get("/")
def index() -> Any:
    """Leads to the page of how the last finished run ended; to the one that claims no success where none has."""
    last = _part("board").state.last_run
    succeeded = last is not None and last["state"] == "success"
    return redirect(url_for("pages.success" if succeeded else "pages.failure"))


@pages.get("/success")
def success() -> Any:
    """The page of a run that succeeded; it says so when the last one did not."""
    return _page("success")


@pages.get("/failure")
def failure() -> Any:
    """The page of a run that failed; it says so when the last one did not."""
    return _page("failed")


def _page(expected: str) -> Any:
    found = _status()
    if _wants_json():
        return jsonify(found)
    return render_template("run.html", expected=expected, status=found, settings=_part("settings"))


@pages.get("/dashboard")
def dashboard() -> Any:
    """The runs over time, the tasks of the last one, and the versions with their metrics."""
    found = {**_status(), "runs": _part("board").state.runs, "versions": _part("versions").versions}
    if _wants_json():
        return jsonify(found)
    return render_template("dashboard.html", status=found, settings=_part("settings"))


@pages.get("/health")
def health() -> Any:
    """Answers `ok` while the process lives."""
    return Response("ok", mimetype="text/plain")


@pages.get("/ready")
def ready() -> Any:
    """200 only when a model is loaded."""
    found = status.model(_part("holder"))
    if found["version"] is not None:
        return jsonify({"ready": True, "model": found})
    reason = found["error"] or _part("holder").upstream_error or "no version is champion yet: promote one"
    return jsonify({"ready": False, "reason": reason, "model": found}), 503


@pages.get("/status")
def status_json() -> Any:
    """Everything that is known, as JSON; 200 also when Airflow or MLflow is down."""
    return jsonify(_status())


@pages.post("/predict")
def predict() -> Any:
    """Predicts the rows of the request with the live version."""
    live = _part("holder").live
    if live is None:
        raise RequestRefused(503, "no_model", "no model is live yet: promote a version")
    settings = _part("settings")
    if request.content_encoding not in (None, "", "identity"):
        encoding = [{"row": None, "field": "Content-Encoding", "rule": "none"}]
        raise RequestRefused(415, "content_encoding", "the body is compressed: send it as it is", encoding)
    body = request.get_data(cache=False)
    if len(body) > settings.max_body_bytes:
        raise RequestEntityTooLarge
    rows = parse(body, request.content_type or "", settings.max_rows)
    answer = score(live.loaded, rows)
    _part("telemetry").rows.labels(live.loaded.name, live.loaded.version).inc(len(rows))
    response = jsonify(answer)
    response.headers["X-Model-Name"] = live.loaded.name
    response.headers["X-Model-Version"] = live.loaded.version
    return response


@pages.get("/openapi.json")
def openapi_json() -> Any:
    """The API's description."""
    return jsonify(openapi.document(_part("holder").live, _part("settings")))


@pages.get("/docs")
def docs() -> Any:
    """The API's description for people."""
    document = openapi.document(_part("holder").live, _part("settings"))
    return render_template("docs.html", api=document, settings=_part("settings"))


@pages.get("/metrics")
def metrics() -> Any:
    """Prometheus metrics."""
    return Response(_part("telemetry").render(), mimetype="text/plain; version=0.0.4")


def _start_clock() -> None:
    g.started = time.perf_counter()


def _finish(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    # The route's pattern, not the path: a path is the caller's choice, and each would be a series of its own.
    route = request.url_rule.rule if request.url_rule else "none"
    telemetry: Telemetry = _part("telemetry")
    telemetry.requests.labels(route, str(response.status_code)).inc()
    telemetry.seconds.labels(route).observe(time.perf_counter() - g.get("started", time.perf_counter()))
    return response


def _error(code: int, name: str, message: str, problems: list[dict[str, Any]] | None = None) -> tuple[Response, int]:
    return jsonify({"error": {"code": name, "message": message, "problems": problems or []}}), code


def _refused(error: RequestRefused) -> tuple[Response, int]:
    return _error(error.status, error.code, error.message, error.problems)


def _http_error(error: HTTPException) -> Any:
    if error.code is not None and error.code < 400:
        return error
    if error.code == 413:
        limit = _part("settings").max_body_bytes
        rule = f"at most {limit} bytes"
        problems = [{"row": None, "field": "body", "rule": rule}]
        return _error(413, "body_too_large", f"the body is too large: send {rule} at a time", problems)
    answer, code = _error(error.code or 500, error.name.lower().replace(" ", "_"), error.description or error.name)
    for name, value in error.get_headers():
        if name == "Allow":
            answer.headers[name] = value
    return answer, code


def _unexpected(error: Exception) -> tuple[Response, int]:
    log.error("route=%s", request.path, exc_info=error)
    return _error(500, "internal", "something unexpected went wrong: see the service's log")
