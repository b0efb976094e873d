"""The Flask application: the pages, and how everything is put together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Flask
from werkzeug.exceptions import HTTPException

from serving.api.bulk import Bulk
from serving.api.routes import Api, scope_of
from serving.api.webhook import Webhooks
from serving.models.loader import Opener
from serving.models.prefetch import Ahead
from serving.models.repository import ModelShelf
from serving.pages.views import moment, pages
from serving.settings import ServingSettings
from serving.upstream.airflow import AirflowClient
from serving.upstream.pipeline import POLL_S as PIPELINE_POLL_S
from serving.upstream.pipeline import PipelineBoard
from serving.upstream.polling import Aside, Pace, keep_refreshing
from serving.upstream.registry import MlflowRegistry
from serving.web.access import Guard
from serving.web.access_log import Journal
from serving.web.gateway import Front
from serving.web.messages import Answer, Request, as_json
from serving.web.metrics import Telemetry
from serving.web.tokens import TokenFile

StartResponse = Callable[..., Any]
_ASIDE = 2
"""So many models, besides the main one, are looked after at a time."""


def create_app(
    settings: ServingSettings,
    *,
    board: PipelineBoard | None = None,
    shelf: ModelShelf | None = None,
    webhooks: Webhooks | None = None,
    start_background: bool = True,
) -> Flask:
    """Builds the application.

    Args:
        settings: Where everything is.
        board: The pipeline's state; one that asks Airflow when None.
        shelf: The live models; one that asks MLflow when None.
        webhooks: Tells genuine webhooks; by the settings' secret when None.
        start_background: Whether the threads that ask Airflow and MLflow start now, for which requests never wait; and
            whether large requests have a process of their own.
    """
    app = Flask("serving.pages")
    bulk = Bulk() if start_background else None
    ahead: Ahead | None = None
    if board is None:
        airflow = AirflowClient(
            settings.airflow_api_url or settings.airflow_url, settings.airflow_username, settings.airflow_password
        )
        board = PipelineBoard(airflow, settings.dag_id, pace=Pace(PIPELINE_POLL_S))
    if shelf is None:
        registry = MlflowRegistry(settings.mlflow_uri, (Opener(), Opener()), main=settings.model_name)
        aside = Aside(_ASIDE, "models")
        shelf = ModelShelf(registry, settings.model_name, settings.state_dir, aside=aside)
        ahead = Ahead(registry, settings.state_dir)
    telemetry = Telemetry(board, shelf, settings.metrics_dir)
    api = Api(settings, board, shelf, webhooks or Webhooks(settings.webhook_secret), bulk)
    guard = Guard(settings, TokenFile(settings.token_file))
    journal = Journal(telemetry)
    front = Front(guard, telemetry, scope_of, (api.answer, _FlaskPages(app.wsgi_app).answer), journal)
    app.extensions["trackyard"] = {
        "settings": settings, "board": board, "shelf": shelf, "telemetry": telemetry, "front": front,
        "journal": journal, "api": api, "bulk": bulk,
    }  # fmt: skip
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.filters["moment"] = moment
    app.register_blueprint(pages)
    app.register_error_handler(HTTPException, _http_error)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.wsgi_app = _Wsgi(front, settings.max_body_bytes)  # type: ignore[method-assign]
    if start_background:
        keep_refreshing(shelf.refresh, shelf.wait, "mlflow")
        # The board keeps its own pace, question by question.
        keep_refreshing(board.refresh, lambda stop: stop.wait(0.05), "airflow")
        if ahead is not None:
            keep_refreshing(ahead.fetch_one, lambda stop: stop.wait(0.5), "ahead")
    return app


def app_from_env(environ: Mapping[str, str]) -> Flask:
    """The application and the log of a process of its own, from its variables.

    Raises:
        Misconfigured: A variable is missing or cannot be used.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("httpx", "urllib3", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return create_app(ServingSettings.from_env(environ))


class _FlaskPages:
    """Lets Flask answer what nobody before it did.

    Args:
        wsgi: Flask's own application.
    """

    def __init__(self, wsgi: Callable[..., Iterable[bytes]]) -> None:
        self._wsgi = wsgi

    def answer(self, request: Request) -> Answer:
        """Flask's answer."""
        told: list[Any] = []
        environ = request.environ()
        made = self._wsgi(environ, lambda status, headers, error=None: told.extend((status, headers)))
        try:
            body = b"".join(made)
        finally:
            close = getattr(made, "close", None)
            if close is not None:
                close()
        headers = tuple((name, value) for name, value in told[1] if name not in ("Content-Type", "Content-Length"))
        kind = next((value for name, value in told[1] if name == "Content-Type"), "text/plain")
        route = environ.get("trackyard.route", "none")
        return Answer(int(told[0].split(" ", 1)[0]), body, kind, headers, route)


class _Wsgi:
    """The whole service as one WSGI application, for servers that have nothing better.

    Args:
        front: What answers.
        max_body_bytes: The largest body.
    """

    def __init__(self, front: Front, max_body_bytes: int) -> None:
        self._front = front
        self._most = max_body_bytes + 1

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        headers = {
            name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        headers["content-type"] = environ.get("CONTENT_TYPE", "")
        length = environ.get("CONTENT_LENGTH") or ""
        most = min(int(length), self._most) if length.isdecimal() else self._most
        # Without a length only a server that ends the stream itself can be read from.
        has_body = length.isdecimal() or environ.get("wsgi.input_terminated", False)
        path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
        request = Request(
            environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers,
            environ.get("REMOTE_ADDR", ""), environ["wsgi.input"].read(most) if has_body else b"",
        )  # fmt: skip
        answer, told = self._front.respond(request)
        start_response(f"{answer.status} {answer.status}", [*told, ("Content-Length", str(len(answer.body)))])
        return [b"" if request.method == "HEAD" else answer.body]


def _http_error(error: HTTPException) -> Any:
    if error.code is not None and error.code < 400:
        return error
    name = error.name.lower().replace(" ", "_")
    found = {"error": {"code": name, "message": error.description or error.name, "problems": []}}
    allowed = {key: value for key, value in error.get_headers() if key == "Allow"}
    return as_json(found), error.code or 500, {"Content-Type": "application/json", **allowed}
