"""The service's Prometheus metrics. Pure, but for the counters themselves."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.pipeline import PipelineBoard
from serving.shelf import ModelShelf

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Telemetry:
    """Counts requests and rows, and reads the rest off the boards when it is asked.

    Args:
        board: The pipeline's state.
        shelf: The live models.
    """

    def __init__(self, board: PipelineBoard, shelf: ModelShelf) -> None:
        to = self._registry = CollectorRegistry()
        self._board = board
        self._shelf = shelf
        self._requests = Counter("trackyard_requests", "Requests answered", ["route", "status"], registry=to)
        self._seconds = Histogram(
            "trackyard_request_seconds", "Time to answer", ["route"], registry=to, buckets=_BUCKETS
        )
        self._children: dict[tuple[str, int], tuple[Any, Any]] = {}
        self.errors = Counter("trackyard_errors", "Errors of the service itself", ["kind"], registry=to)
        self._rows = Counter("trackyard_rows_predicted", "Rows predicted", ["model", "version"], registry=to)
        self._model = Gauge("trackyard_model_info", "The live version", ["model", "version"], registry=to)
        self._loaded = Gauge("trackyard_model_loaded_timestamp_seconds", "When it went live", ["model"], registry=to)
        self._reloads = Gauge("trackyard_model_reloads", "Versions put live by this process", ["model"], registry=to)
        self._refusals = Gauge("trackyard_model_refusals", "Versions refused by this process", ["model"], registry=to)
        self._upstream = Gauge("trackyard_upstream_up", "Whether an upstream answers", ["upstream"], registry=to)
        self._age = Gauge("trackyard_upstream_age_seconds", "Since an upstream answered", ["upstream"], registry=to)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Counts an answer."""
        children = self._children.get((route, status))
        if children is None:
            made = self._requests.labels(route, str(status)), self._seconds.labels(route)
            children = self._children.setdefault((route, status), made)
        children[0].inc()
        children[1].observe(seconds)

    def count_rows(self, name: str, version: str, size: int) -> None:
        """Counts the rows that a version predicted."""
        self._rows.labels(name, version).inc(size)

    def render(self) -> bytes:
        """Everything in Prometheus's text format."""
        self._model.clear()
        for name, holder in self._shelf.holders.items():
            if holder.live:
                self._model.labels(name, holder.live.loaded.version).set(1)
                self._loaded.labels(name).set(holder.live.loaded_unix)
            self._reloads.labels(name).set(holder.reloads)
            self._refusals.labels(name).set(holder.refusals)
        for name, error, age_s in (
            ("airflow", self._board.error, self._board.age_s),
            ("mlflow", self._shelf.upstream_error, self._shelf.age_s),
        ):
            self._upstream.labels(name).set(error is None)
            if age_s is not None:
                self._age.labels(name).set(age_s)
        return generate_latest(self._registry)
