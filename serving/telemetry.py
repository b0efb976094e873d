"""The service's Prometheus metrics. Pure, but for the counters themselves."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.champion import ModelHolder
from serving.pipeline import PipelineBoard


class Telemetry:
    """Counts requests and rows, and reads the rest off the boards when it is asked.

    Args:
        board: The pipeline's state.
        holder: The live model.
    """

    def __init__(self, board: PipelineBoard, holder: ModelHolder) -> None:
        self._registry = CollectorRegistry()
        self._board = board
        self._holder = holder
        to = self._registry
        self.requests = Counter("trackyard_requests", "Requests answered", ["route", "status"], registry=to)
        self.seconds = Histogram("trackyard_request_seconds", "Time to answer", ["route"], registry=to)
        self.rows = Counter("trackyard_rows_predicted", "Rows predicted", ["model", "version"], registry=to)
        self._model = Gauge("trackyard_model_info", "The live version", ["model", "version"], registry=to)
        self._reloads = Gauge("trackyard_model_reloads", "Versions put live by this process", registry=to)
        self._refusals = Gauge("trackyard_model_refusals", "Versions refused by this process", registry=to)
        self._upstream = Gauge("trackyard_upstream_up", "Whether an upstream answers", ["upstream"], registry=to)

    def render(self) -> bytes:
        """Everything in Prometheus's text format."""
        self._model.clear()
        if self._holder.live:
            loaded = self._holder.live.loaded
            self._model.labels(loaded.name, loaded.version).set(1)
        self._reloads.set(self._holder.reloads)
        self._refusals.set(self._holder.refusals)
        self._upstream.labels("airflow").set(self._board.error is None)
        self._upstream.labels("mlflow").set(self._holder.upstream_error is None)
        return generate_latest(self._registry)
