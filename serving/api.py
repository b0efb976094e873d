"""The routes that programs ask: predictions, status, models, webhooks. Pure, over what the boards know."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from serving import status
from serving.champion import ModelHolder
from serving.http import JSON, Answer, Request
from serving.parsing import parse
from serving.pipeline import PipelineBoard
from serving.scoring import answer_of, as_json
from serving.settings import ServingSettings
from serving.shelf import ModelShelf
from serving.table import RequestRefused
from serving.webhook import Webhooks

_MODEL = re.compile(r"/models/([^/]+)(/predict)?")
_STATUS_LASTS_S = 0.1

ROUTES = {
    "/predict": "POST",
    "/models/<name>/predict": "POST",
    "/status": "GET",
    "/models": "GET",
    "/models/<name>": "GET",
    "/webhooks/mlflow": "POST",
    "/refresh": "POST",
}
"""What is answered here, and by which method."""


class Api:
    """Answers programs.

    Args:
        settings: The limits.
        board: The pipeline's state.
        shelf: The live models.
        webhooks: Tells genuine webhooks.
    """

    def __init__(
        self,
        settings: ServingSettings,
        board: PipelineBoard,
        shelf: ModelShelf,
        webhooks: Webhooks,
    ) -> None:
        self._settings = settings
        self._board = board
        self._shelf = shelf
        self._webhooks = webhooks
        self._status: tuple[float, bytes] = (float("-inf"), b"")
        self._handlers: dict[str, Callable[[Request, str], Answer]] = {
            "/predict": self._predict,
            "/models/<name>/predict": self._predict,
            "/status": self._tell_status,
            "/models": self._tell_models,
            "/models/<name>": self._tell_model,
            "/webhooks/mlflow": self._take_webhook,
            "/refresh": self._refresh,
        }

    def answer(self, request: Request) -> Answer | None:
        """The answer, None for a path that is not of these routes."""
        route, name = route_of(request.path)
        handler = self._handlers.get(route)
        if handler is None:
            return None
        request.route = route
        allowed = ROUTES[route]
        if request.method != allowed and not (allowed == "GET" and request.method == "HEAD"):
            refused = RequestRefused(405, "method_not_allowed", f"{route} is asked by {allowed}")
            return Answer.refusal(refused, route=route, headers=(("Allow", allowed),))
        found = handler(request, name)
        found.route = route
        return found

    def is_quick(self, path: str) -> bool:
        """Whether an answer at this address takes so little that it needs no thread of its own: a linear model's."""
        if path in ("/status", "/health"):
            return True
        if not path.endswith("/predict"):
            return False
        name = "" if path == "/predict" else route_of(path)[1]
        holder = self._shelf.holders.get(name) if name else self._shelf.main
        return holder is None or holder.live is None or holder.live.predictor.form is not None

    def one_row(self, request: Request) -> Answer | None:
        """The answer to the commonest question of all, one row of plain numbers for a linear model.

        None for any other question: `answer` says the same of this one, by a longer way.
        """
        live = self._shelf.main.live
        if live is None or request.query or request.headers.get("content-type") != JSON:
            return None
        if "content-encoding" in request.headers:
            return None
        found = live.predictor.one_row(request.body)
        if found is None:
            return None
        return Answer(200, found, headers=live.predictor.head, route="/predict", facts=live.predictor.facts)

    def _holder(self, name: str) -> ModelHolder:
        holder = self._shelf.holders.get(name) if name else self._shelf.main
        if holder is None:
            problems = [{"row": None, "field": "name", "rule": "a registered model that has a champion"}]
            raise RequestRefused(404, "no_such_model", f"no model {name[:60]!r} is served: GET /models", problems)
        return holder

    def _predict(self, request: Request, name: str) -> Answer:
        holder = self._holder(name)
        live = holder.live
        if live is None:
            reason = holder.error or "no version was promoted yet: promote one"
            raise RequestRefused(503, "no_model", f"no model is live: {reason}")
        encoding = request.headers.get("content-encoding", "")
        if encoding not in ("", "identity"):
            problems = [{"row": None, "field": "Content-Encoding", "rule": "none"}]
            raise RequestRefused(415, "content_encoding", "the body is compressed: send it as it is", problems)
        if len(request.body) > self._settings.max_body_bytes:
            raise too_large(self._settings)
        kind = request.headers.get("content-type", "")
        table = parse(request.body, kind, self._settings.max_rows)
        answer = answer_of(live.predictor, table, request.arguments if request.query else {})
        loaded = live.loaded
        facts = {"model": loaded.name, "version": loaded.version, "rows": table.size}
        return Answer(200, as_json(answer), headers=live.predictor.head, facts=facts)

    def _tell_status(self, request: Request, name: str) -> Answer:
        now = time.monotonic()
        made_at, body = self._status
        if now - made_at > _STATUS_LASTS_S:
            body = as_json(status.status(self._settings, self._board, self._shelf))
            self._status = (now, body)
        return Answer(200, body)

    def _tell_models(self, request: Request, name: str) -> Answer:
        return Answer.json({"models": [status.model(self._shelf, one) for one in self._shelf.holders.values()]})

    def _tell_model(self, request: Request, name: str) -> Answer:
        return Answer.json(status.describe(self._shelf, self._holder(name)))

    def _take_webhook(self, request: Request, name: str) -> Answer:
        if len(request.body) > self._settings.max_body_bytes:
            raise too_large(self._settings)
        self._webhooks.check(request.headers, request.body)
        self._shelf.wake.set()
        return Answer(204)

    def _refresh(self, request: Request, name: str) -> Answer:
        self._shelf.wake.set()
        return Answer.json({"asked": True}, 202)


def too_large(settings: ServingSettings) -> RequestRefused:
    """What is said of a body over the limit."""
    rule = f"at most {settings.max_body_bytes} bytes"
    problems = [{"row": None, "field": "body", "rule": rule}]
    return RequestRefused(413, "body_too_large", f"the body is too large: send {rule} at a time", problems)


def route_of(path: str) -> tuple[str, str]:
    """The pattern of a path, and the model's name in it; the path itself where it is no pattern's."""
    found = None if path in ROUTES else _MODEL.fullmatch(path)
    if found is None:
        return path, ""
    return "/models/<name>" + (found[2] or ""), found[1]


def scope_of(request: Request) -> str:
    """What a token must allow for a request."""
    path = request.path
    if path == "/webhooks/mlflow":
        return "webhook"
    if path == "/refresh":
        return "operate"
    return "predict" if path.endswith("/predict") else "read"
