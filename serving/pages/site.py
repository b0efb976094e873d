"""Flask's part of the service: the pages for people, asked as an ASGI application. Pure, over the monitors."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from a2wsgi import WSGIMiddleware
from flask import Flask
from werkzeug.exceptions import HTTPException

from serving.models.repository import ModelRepository
from serving.pages.views import moment
from serving.settings import ServingSettings
from serving.upstream.pipeline import PipelineMonitor
from serving.web.messages import Answer, Request, as_json
from serving.web.routing import Route

_THREADS = 4
_OWN = (b"content-type", b"content-length", b"date")


class Pages:
    """Answers the routes that have a view.

    Args:
        routes: All routes; those without a view are described on a page.
        settings: What the pages link to.
        monitor: The pipeline's state.
        repository: The live models.
    """

    def __init__(
        self, routes: Iterable[Route], settings: ServingSettings, monitor: PipelineMonitor, repository: ModelRepository
    ) -> None:
        # Its own route to static files would be a second one beside the table's.
        app = Flask("serving.pages", static_folder=None)
        routes = tuple(routes)
        app.extensions["trackyard"] = {
            "settings": settings,
            "monitor": monitor,
            "repository": repository,
            "routes": routes,
        }
        app.json.sort_keys = False  # type: ignore[attr-defined]
        app.jinja_env.filters["moment"] = moment
        app.config["PROPAGATE_EXCEPTIONS"] = True
        app.register_error_handler(HTTPException, _http_error)
        for route in routes:
            if route.view is not None:
                app.add_url_rule(route.path, view_func=route.view)
        self._asgi = WSGIMiddleware(app, workers=_THREADS)  # type: ignore[arg-type]

    async def answer(self, request: Request) -> Answer:
        """Flask's answer."""
        answer, pieces, headers = Answer(500), [], []

        async def take(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                headers.extend(message["headers"])
            else:
                pieces.append(message.get("body", b""))

        await self._asgi(_scope_of(request), _nothing, take)  # type: ignore[arg-type]
        answer.body, answer.kind = b"".join(pieces), dict(headers).get(b"content-type", b"text/plain").decode("latin-1")
        told = [(name, value) for name, value in headers if name not in _OWN]
        answer.headers = tuple((name.decode("latin-1").title(), value.decode("latin-1")) for name, value in told)
        return answer


async def _nothing() -> dict[str, Any]:
    """A page takes no body."""
    return {"type": "http.request", "body": b"", "more_body": False}


def _scope_of(request: Request) -> dict[str, Any]:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in request.headers.items()
        if name != "content-length"
    ]
    return {
        "type": "http", "http_version": "1.1", "method": request.method, "path": request.path, "headers": headers,
        "query_string": request.query.encode("ascii", "replace"), "client": (request.client, 0),
    }  # fmt: skip


def _http_error(error: HTTPException) -> Any:
    if error.code is not None and error.code < 400:
        return error
    name = error.name.lower().replace(" ", "_")
    found = {"error": {"code": name, "message": error.description or error.name, "problems": []}}
    return as_json(found), error.code or 500, {"Content-Type": "application/json"}
