"""What answers programs: predictions, status, models, webhooks. Pure, over what the monitors know.

Each answers a request, or raises `RequestRefused`; where everybody waits for it (`Request.at_once`) it raises
`TakesLonger` before it imports, waits for a lock, or takes more than about a millisecond.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Never

from serving.api import openapi, status
from serving.api.bulk import Bulk, Job
from serving.api.webhook import Webhooks
from serving.models.cache import LiveModel
from serving.models.repository import ModelRepository
from serving.models.slot import ModelSlot
from serving.settings import ServingSettings
from serving.upstream.pipeline import PipelineMonitor
from serving.web.messages import JSON, Answer, Request, RequestRefused, TakesLonger, as_json, problem
from serving.web.routing import Route

_STATUS_LASTS_S = 0.1
QUICK_BYTES = 16 * 2**10
"""The most JSON that is read where everybody waits."""
# As many values are looked at in about a millisecond.
_QUICK_CELLS = 1000
_QUICK_S = 0.001


class Api:
    """Answers programs; large requests are answered here as well when `bulk` is None."""

    def __init__(
        self,
        settings: ServingSettings,
        monitor: PipelineMonitor,
        repository: ModelRepository,
        webhooks: Webhooks,
        bulk: Bulk | None = None,
    ) -> None:
        self._settings = settings
        self._monitor = monitor
        self._repository = repository
        self._webhooks = webhooks
        self._bulk = bulk
        self._status: tuple[float, bytes] = (float("-inf"), b"")
        self._status_takes_s = float("inf")
        self._status_lock = threading.Lock()

    def health(self, request: Request) -> Answer:
        """Says that the process lives."""
        return Answer(200, b"ok", "text/plain; charset=utf-8")

    def ready(self, request: Request) -> Answer:
        """200 only when a model is loaded; what the model is, and why there is none, is for those who may read."""
        model = status.model(self._repository, self._repository.main)
        is_ready = model["version"] is not None
        content: dict[str, Any] = {"ready": is_ready}
        if request.may_read:
            if not is_ready:
                nobody = "no version is champion yet: promote one"
                content["reason"] = model["error"] or self._repository.upstream_error or nobody
            content["model"] = model
        return Answer.json(content, 200 if is_ready else 503)

    def predict(self, request: Request) -> Answer:
        """Predicts rows with the live version of the main model, or of the one that the address names."""
        live = self._live(request)
        if request.at_once:
            return self._predict_at_once(live, request)
        job = self._job(request)
        if self._bulk is None or not request.is_large:
            return _answered(live, job.answer(live.predictor))
        return _answered(live, self._bulk.answer(live.predictor, job))

    def _predict_at_once(self, live: LiveModel, request: Request) -> Answer:
        """The answer to a little JSON that a folded form answers."""
        kind = request.headers.get("content-type", "")
        if len(request.body) > QUICK_BYTES or not kind.lower().startswith(JSON):
            raise TakesLonger(is_large=True)
        form_alone = replace(live.predictor, elsewhere=_takes_longer)
        return _answered(live, self._job(request, _QUICK_CELLS).answer(form_alone))

    def _slot(self, name: str) -> ModelSlot:
        slot = self._repository.slots.get(name) if name else self._repository.main
        if slot is None:
            problems = [problem("name", "a registered model that has a champion")]
            raise RequestRefused(404, "no_such_model", f"no model {name[:60]!r} is served: GET /models", problems)
        return slot

    def _live(self, request: Request) -> LiveModel:
        """The version to predict with; refused: none is live yet (503) or served (404), a compressed body (415)."""
        slot = self._slot(request.name)
        live = slot.live
        if live is None:
            raise RequestRefused(503, "no_model", f"no model is live: {_why_none(slot)}")
        encoding = request.headers.get("content-encoding", "")
        if encoding not in ("", "identity"):
            problems = [problem("Content-Encoding", "none")]
            raise RequestRefused(415, "content_encoding", "the body is compressed: send it as it is", problems)
        return live

    def _job(self, request: Request, most_cells: int | None = None) -> Job:
        kind = request.headers.get("content-type", "")
        return Job(request.body, kind, request.arguments, self._settings.max_rows, most_cells)

    def status(self, request: Request) -> Answer:
        """What is known of the pipeline and the models, at most a tenth of a second old."""
        if request.at_once:
            body = self._status_at_hand()
            if body is None:
                raise TakesLonger
            return Answer(200, body)
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
        body = as_json(status.status(self._settings, self._monitor, self._repository))
        self._status, self._status_takes_s = (now, body), time.thread_time() - started
        return body

    def models(self, request: Request) -> Answer:
        """The models that are served."""
        return Answer.json({"models": [status.model(self._repository, one) for one in self._repository.slots.values()]})

    def model(self, request: Request) -> Answer:
        """A model's signature, example, metrics and aliases."""
        return Answer.json(status.describe(self._repository, self._slot(request.name)))

    def webhook(self, request: Request) -> Answer:
        """Takes one of MLflow's webhooks: something changed there."""
        self._webhooks.check(request.headers, request.body)
        self._repository.wake.set()
        return Answer(204)

    def refresh(self, request: Request) -> Answer:
        """Asks MLflow at once."""
        self._repository.wake.set()
        return Answer.json({"asked": True}, 202)

    def describe(self, routes: Iterable[Route]) -> Answer:
        """The description of all routes in OpenAPI."""
        return Answer.json(openapi.document(routes, self._repository.main.live, self._settings))


def _takes_longer(columns: Mapping[str, Any]) -> Never:
    raise TakesLonger


def _answered(live: LiveModel, answer: tuple[bytes, dict[str, Any]]) -> Answer:
    body, facts = answer
    return Answer(200, body, headers=live.predictor.head, facts=facts)


def _why_none(slot: ModelSlot) -> str:
    if slot.error is None and slot.champion is not None:
        return f"version {slot.champion.version} is being fetched: ask again in a few seconds"
    return slot.error or "no version was promoted yet: promote one"
