"""The service's Prometheus metrics. Pure, but for the counters themselves.

Of several worker processes one answers, and tells what all have counted: Prometheus's own client keeps the counters in
files of a shared folder where `PROMETHEUS_MULTIPROC_DIR` names one when it is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from serving.models.repository import ModelRepository
from serving.upstream.pipeline import PipelineMonitor
from serving.web.messages import Answer, Request

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _MonitorMetrics(Collector):
    """What the monitors know, read off when it is asked."""

    def __init__(self, monitor: PipelineMonitor, repository: ModelRepository) -> None:
        self._monitor = monitor
        self._repository = repository

    def collect(self) -> Iterator[Metric]:
        """What Prometheus's client shows."""
        by_model = partial(GaugeMetricFamily, labels=["model"])
        info = GaugeMetricFamily("trackyard_model_info", "The live version", labels=["model", "version"])
        loaded = by_model("trackyard_model_loaded_timestamp_seconds", "When it went live")
        reloads = by_model("trackyard_model_reloads", "Versions put live by this process")
        refusals = by_model("trackyard_model_refusals", "Versions refused by this process")
        for name, slot in self._repository.slots.items():
            if slot.live:
                info.add_metric([name, slot.live.loaded.version], 1)
                loaded.add_metric([name], slot.live.loaded_unix)
            reloads.add_metric([name], slot.reloads)
            refusals.add_metric([name], slot.refusals)
        up = GaugeMetricFamily("trackyard_upstream_up", "Whether an upstream answers", labels=["upstream"])
        age = GaugeMetricFamily("trackyard_upstream_age_seconds", "Since an upstream answered", labels=["upstream"])
        for name, error, age_s in (
            ("airflow", self._monitor.error, self._monitor.age_s),
            ("mlflow", self._repository.upstream_error, self._repository.age_s),
        ):
            up.add_metric([name], error is None)
            if age_s is not None:
                age.add_metric([name], age_s)
        yield from (info, loaded, reloads, refusals, up, age)


class Telemetry:
    """Counts requests and rows, and reads the rest off the monitors when it is asked.

    Several processes count together in the folder `shared`; None where there is one.
    """

    def __init__(self, monitor: PipelineMonitor, repository: ModelRepository, shared: Path | None = None) -> None:
        to = self._counted = CollectorRegistry()
        self._read_off = CollectorRegistry()
        self._read_off.register(_MonitorMetrics(monitor, repository))
        if shared is not None:
            self._counted = CollectorRegistry()
            MultiProcessCollector(self._counted, str(shared))  # type: ignore[no-untyped-call]
        self._requests = Counter("trackyard_requests", "Requests answered", ["route", "status"], registry=to)
        self._seconds = Histogram(
            "trackyard_request_seconds", "Time to answer", ["route"], registry=to, buckets=_BUCKETS
        )
        self.errors = Counter("trackyard_errors", "Errors of the service itself", ["kind"], registry=to)
        self._rows = Counter("trackyard_rows_predicted", "Rows predicted", ["model", "version"], registry=to)
        unseen = "Values of a category that training did not know"
        self._unseen = Counter("trackyard_unseen_categories", unseen, ["model", "column"], registry=to)

    def count(self, request: Request, answer: Answer, seconds: float) -> None:
        """Counts an answer, and the seconds that it took."""
        self._seconds.labels(request.route).observe(seconds)
        self._requests.labels(request.route, str(answer.status)).inc()
        facts = answer.facts
        if "rows" in facts:
            self._rows.labels(facts["model"], facts["version"]).inc(facts["rows"])
        for column, number in facts.get("unseen", {}).items():
            self._unseen.labels(facts["model"], column).inc(number)

    def render(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self._counted) + generate_latest(self._read_off)
