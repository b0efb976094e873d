"""The service's Prometheus metrics. Pure, but for the counters themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from serving.http import Answer
from serving.pipeline import PipelineBoard
from serving.shelf import ModelShelf

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Seconds(Collector):
    """How long answers took, by route: a histogram that takes many at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, route: str, seconds: list[float]) -> None:
        """Counts answers of a route."""
        # A bucket holds what is at most its bound.
        found = np.bincount(np.searchsorted(_BUCKETS, seconds), minlength=len(_BUCKETS) + 1)
        with self._lock:
            self._counts[route] = self._counts.get(route, 0) + found
            self._sums[route] = self._sums.get(route, 0.0) + sum(seconds)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus's client shows."""
        family = HistogramMetricFamily("trackyard_request_seconds", "Time to answer", labels=["route"])
        with self._lock:
            for route, counts in self._counts.items():
                bounds = [*map(str, _BUCKETS), "+Inf"]
                shown = list(zip(bounds, map(int, counts.cumsum()), strict=True))
                family.add_metric([route], buckets=shown, sum_value=self._sums[route])
        yield family


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
        self._seconds = _Seconds()
        to.register(self._seconds)
        self.errors = Counter("trackyard_errors", "Errors of the service itself", ["kind"], registry=to)
        self._rows = Counter("trackyard_rows_predicted", "Rows predicted", ["model", "version"], registry=to)
        self._model = Gauge("trackyard_model_info", "The live version", ["model", "version"], registry=to)
        self._loaded = Gauge("trackyard_model_loaded_timestamp_seconds", "When it went live", ["model"], registry=to)
        self._reloads = Gauge("trackyard_model_reloads", "Versions put live by this process", ["model"], registry=to)
        self._refusals = Gauge("trackyard_model_refusals", "Versions refused by this process", ["model"], registry=to)
        self._upstream = Gauge("trackyard_upstream_up", "Whether an upstream answers", ["upstream"], registry=to)
        self._age = Gauge("trackyard_upstream_age_seconds", "Since an upstream answered", ["upstream"], registry=to)

    def count(self, answers: Iterable[tuple[Answer, float]]) -> None:
        """Counts answers, each with the seconds that it took."""
        seconds: dict[str, list[float]] = {}
        statuses: dict[tuple[str, int], int] = {}
        rows: dict[tuple[str, str], int] = {}
        for answer, took in answers:
            seconds.setdefault(answer.route, []).append(took)
            which = (answer.route, answer.status)
            statuses[which] = statuses.get(which, 0) + 1
            if "rows" in answer.facts:
                version = (answer.facts["model"], answer.facts["version"])
                rows[version] = rows.get(version, 0) + answer.facts["rows"]
        for route, all_of_it in seconds.items():
            self._seconds.observe(route, all_of_it)
        for (route, status), number in statuses.items():
            self._requests.labels(route, str(status)).inc(number)
        for version, number in rows.items():
            self._rows.labels(*version).inc(number)

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
