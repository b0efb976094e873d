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
from serving.web.messages import Answer, RequestRefused
from serving.web.routing import Route

_THREADS = 4
_OWN = (b"content-type", b"content-length", b"date")


class Pages:
    """Answers the routes that have a view; those without one are described on a page."""

    def __init__(
        self, routes: Iterable[Route], settings: ServingSettings, monitor: PipelineMonitor, repository: ModelRepository
    ) -> None:
        # Its own route to static files would be a second one beside the table's.
        app = Flask("serving.pages", static_folder=None)
        routes = tuple(routes)
        parts = {"settings": settings, "monitor": monitor, "repository": repository, "routes": routes}
        app.extensions["trackyard"] = parts
        app.json.sort_keys = False  # type: ignore[attr-defined]
        app.jinja_env.filters["moment"] = moment
        app.config["PROPAGATE_EXCEPTIONS"] = True
        app.register_error_handler(HTTPException, _refuse)
        for route in routes:
            if route.view is not None:
                app.add_url_rule(route.path, view_func=route.view)
        self._asgi = WSGIMiddleware(app, workers=_THREADS)  # type: ignore[arg-type]

    async def answer(self, scope: MutableMapping[str, Any]) -> Answer:
        """Flask's answer to a request as ASGI has it; RequestRefused (404) where there is no such file."""
        answer, pieces, headers = Answer(500), [], []

        async def take(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                headers.extend(message["headers"])
            else:
                pieces.append(message.get("body", b""))

        await self._asgi(scope, _nothing, take)  # type: ignore[arg-type]
        answer.body, answer.kind = b"".join(pieces), dict(headers).get(b"content-type", b"text/plain").decode("latin-1")
        shown = [(name, value) for name, value in headers if name not in _OWN]
        answer.headers = tuple((name.decode("latin-1").title(), value.decode("latin-1")) for name, value in shown)
        return answer


async def _nothing() -> dict[str, Any]:
    """A page takes no body."""
    return {"type": "http.request", "body": b"", "more_body": False}


def _refuse(error: HTTPException) -> HTTPException:
    """Says what Flask refuses as everything else that is refused is said; what is no refusal stays."""
    if error.code is not None and error.code < 400:
        return error
    name = error.name.lower().replace(" ", "_")
    raise RequestRefused(error.code or 500, name, error.description or error.name)
