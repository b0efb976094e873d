"""The routes that programs ask: predictions, status, models, webhooks. Pure, over what the boards know."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from serving.api import status
from serving.api.bulk import Bulk, Declined, FormOnly, Job, TooMany
from serving.api.webhook import Webhooks
from serving.models.cache import LiveModel
from serving.models.repository import ModelShelf
from serving.models.slot import ModelHolder
from serving.settings import ServingSettings
from serving.upstream.pipeline import PipelineBoard
from serving.web.messages import JSON, Answer, Request, RequestRefused, as_json, too_large

_MODEL = re.compile(r"/models/([^/]+)(/predict)?")
_STATUS_LASTS_S = 0.1
QUICK_BYTES = 16 * 2**10
"""The most JSON that is read where everybody waits."""
# As many values are looked at in about a millisecond.
_QUICK_CELLS = 1000
_QUICK_S = 0.001

ROUTES = {
    "/health": "GET",
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
        bulk: Answers large requests; they are answered here when None.
    """

    def __init__(
        self,
        settings: ServingSettings,
        board: PipelineBoard,
        shelf: ModelShelf,
        webhooks: Webhooks,
        bulk: Bulk | None = None,
    ) -> None:
        self._settings = settings
        self._board = board
        self._shelf = shelf
        self._webhooks = webhooks
        self.bulk = bulk
        self._status: tuple[float, bytes] = (float("-inf"), b"")
        self._status_takes_s = float("inf")
        self._status_lock = threading.Lock()
        self._handlers: dict[str, Callable[[Request, str], Answer]] = {
            "/health": lambda request, name: Answer(200, b"ok", "text/plain; charset=utf-8"),
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

    def quick(self, request: Request) -> Answer | None:
        """The answer to what takes no import, no lock and about a millisecond at most, None for all else.

        What `answer` says of such a request is the same, by a longer way. This is the way that may be gone on an event
        loop, where everybody else waits.

        Raises:
            RequestRefused: The request is not what it must be.
        """
        path, method = request.path, request.method
        if path == "/status":
            body = self._status_at_hand() if method == "GET" else None
            return None if body is None else Answer(200, body, route="/status")
        if path == "/health" and method == "GET":
            return self.answer(request)
        if method != "POST" or not path.endswith("/predict") or is_large(request):
            return None
        return (self._one_row(request) if path == "/predict" else None) or self._few_rows(request)

    def _few_rows(self, request: Request) -> Answer | None:
        """The answer to a small request that a folded form answers, None for any other."""
        request.route, name = route_of(request.path)
        live = self._live(request, name)
        predictor = live.predictor
        form = FormOnly(predictor.loaded, predictor.form, predictor.nullable, categories=predictor.categories)
        try:
            found = _answered(live, self._job(request, _QUICK_CELLS).answer(form))
        except TooMany:
            request.is_large = True
            return None
        except Declined:
            return None
        found.route = request.route
        return found

    def _one_row(self, request: Request) -> Answer | None:
        """The answer to one row of a linear main model in plain JSON, None for any other question."""
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

    def _live(self, request: Request, name: str) -> LiveModel:
        """The version that a request for a prediction is about.

        Raises:
            RequestRefused: 503, there is none yet; 404, 413 and 415 for what nobody is asked.
        """
        holder = self._holder(name)
        live = holder.live
        if live is None:
            raise RequestRefused(503, "no_model", f"no model is live: {_why_none(holder)}")
        encoding = request.headers.get("content-encoding", "")
        if encoding not in ("", "identity"):
            problems = [{"row": None, "field": "Content-Encoding", "rule": "none"}]
            raise RequestRefused(415, "content_encoding", "the body is compressed: send it as it is", problems)
        if len(request.body) > self._settings.max_body_bytes:
            raise too_large(self._settings)
        return live

    def _predict(self, request: Request, name: str) -> Answer:
        live = self._live(request, name)
        job = self._job(request)
        if self.bulk is None or not is_large(request):
            return _answered(live, job.answer(live.predictor))
        return _answered(live, self.bulk.answer(live.predictor, job))

    def _job(self, request: Request, most_cells: int | None = None) -> Job:
        kind = request.headers.get("content-type", "")
        arguments = request.arguments if request.query else {}
        return Job(request.body, kind, arguments, self._settings.max_rows, most_cells)

    def _tell_status(self, request: Request, name: str) -> Answer:
        with self._status_lock:
            return Answer(200, self._status_at_hand() or self._make_status())

    def _status_at_hand(self) -> bytes | None:
        """The body of `/status` where it is there or made in no time."""
        made_at, body = self._status
        if time.monotonic() - made_at <= _STATUS_LASTS_S:
            return body
        return self._make_status() if self._status_takes_s <= _QUICK_S else None

    def _make_status(self) -> bytes:
        started, now = time.thread_time(), time.monotonic()
        body = as_json(status.status(self._settings, self._board, self._shelf))
        self._status, self._status_takes_s = (now, body), time.thread_time() - started
        return body

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


def is_large(request: Request) -> bool:
    """Whether a request for a prediction is more than a little JSON."""
    kind = request.headers.get("content-type", "")
    return request.is_large or len(request.body) > QUICK_BYTES or not kind.lower().startswith(JSON)


def _answered(live: LiveModel, found: tuple[bytes, dict[str, Any]]) -> Answer:
    return Answer(200, found[0], headers=live.predictor.head, facts=found[1])


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


def _why_none(holder: ModelHolder) -> str:
    if holder.error is None and holder.champion is not None:
        return f"version {holder.champion.version} is being fetched: ask again in a few seconds"
    return holder.error or "no version was promoted yet: promote one"
