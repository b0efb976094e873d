"""How the service is put together, and what `python -m serving` runs. Effects: threads; the settings' variables."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from serving.api.bulk import Bulk
from serving.api.handlers import Api
from serving.api.webhook import Webhooks
from serving.models.loader import Loader
from serving.models.prefetch import Prefetcher
from serving.models.repository import ModelRepository
from serving.pages.site import Pages
from serving.routes import table
from serving.server import Server
from serving.settings import ServingSettings
from serving.upstream.airflow import AirflowClient
from serving.upstream.pipeline import POLL_S as PIPELINE_POLL_S
from serving.upstream.pipeline import PipelineMonitor
from serving.upstream.polling import Aside, Pace, keep_refreshing
from serving.upstream.registry import MlflowRegistry
from serving.web.access import Guard
from serving.web.access_log import AccessLog
from serving.web.gateway import Gateway
from serving.web.metrics import Telemetry
from serving.web.routing import Router
from serving.web.tokens import TokenFile

_ASIDE = 2
"""So many models, besides the main one, are looked after at a time."""
_PARENT_S = 0.5
# A thread that computes lets the event loop in after so many seconds; Python's own 5 ms would be what everybody waits.
_SWITCH_S = 0.0005
WORKER_OF = "_TRACKYARD_SERVING_PARENT"
"""The variable with the process that started this one as one of several; nobody else sets it."""


@dataclass(frozen=True)
class Monitors:
    """What the service knows, kept up to date in the background; without a prefetcher no version is fetched ahead."""

    pipeline: PipelineMonitor
    models: ModelRepository
    prefetcher: Prefetcher | None = None

    @classmethod
    def of(cls, settings: ServingSettings) -> Monitors:
        """Those that ask the servers that the settings name."""
        airflow = AirflowClient(
            settings.airflow_api_url or settings.airflow_url, settings.airflow_username, settings.airflow_password
        )
        registry = MlflowRegistry(settings.mlflow_uri, (Loader(), Loader()), main=settings.model_name)
        models = ModelRepository(registry, settings.model_name, settings.state_dir, aside=Aside(_ASIDE, "models"))
        pipeline = PipelineMonitor(airflow, settings.dag_id, pace=Pace(PIPELINE_POLL_S))
        return cls(pipeline, models, Prefetcher(registry, settings.state_dir))

    def start(self) -> None:
        """Starts the threads that ask, for which requests never wait."""
        keep_refreshing(self.models.refresh, self.models.wait, "mlflow")
        # The monitor keeps its own pace, question by question.
        keep_refreshing(self.pipeline.refresh, self.pipeline.wait, "airflow")
        if self.prefetcher is not None:
            keep_refreshing(self.prefetcher.fetch_one, lambda stop: stop.wait(0.5), "prefetcher")


def create_app(
    settings: ServingSettings, monitors: Monitors, webhooks: Webhooks | None = None, bulk: Bulk | None = None
) -> Server:
    """The service, over monitors that somebody keeps up to date.

    Without `webhooks` the settings' secret tells genuine ones; without `bulk` large requests are answered in a thread.
    """
    telemetry = Telemetry(monitors.pipeline, monitors.models, settings.metrics_dir)
    access_log = AccessLog(telemetry)
    webhooks = webhooks or Webhooks(settings.webhook_secret)
    router = Router(table(Api(settings, monitors.pipeline, monitors.models, webhooks, bulk), access_log))
    gateway = Gateway(Guard(settings, TokenFile(settings.token_file)), telemetry, router, access_log)
    return Server(gateway, Pages(router.routes, settings, monitors.pipeline, monitors.models), settings)


def app_from_env(environ: Mapping[str, str]) -> Server:
    """The service and the log of a process of its own, kept up to date; `Misconfigured` where a variable is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("httpx", "urllib3", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    settings = ServingSettings.from_env(environ)
    monitors, bulk = Monitors.of(settings), Bulk()
    monitors.start()
    threading.Thread(target=bulk.start, name="bulk", daemon=True).start()
    return create_app(settings, monitors, bulk=bulk)


def build() -> Server:
    """The service, from the environment, with a watch over the process that started this one."""
    app = app_from_env(os.environ)
    sys.setswitchinterval(_SWITCH_S)
    if os.environ.get(WORKER_OF):
        parent = int(os.environ[WORKER_OF])
        keep_refreshing(lambda: _end_with(parent), lambda stop: stop.wait(_PARENT_S), "parent")
    # What is there now stays, and an answer makes a few objects that go again: looking through them often is no use.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    return app


def _end_with(parent: int) -> None:
    """Begins the ordinary stop, which finishes what was begun, of a worker whose parent was killed.

    It would go on answering beside the next ones, whose port it shares.
    """
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
