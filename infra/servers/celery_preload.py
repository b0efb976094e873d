"""Celery's configuration, and the place where the worker imports what tasks need, once, before it forks.

Airflow names this module in `[celery] celery_config_options`. A task runs in a process that is forked from the
worker's, so whatever is imported here costs a task nothing; without it each task spends 5 to 9 s on imports. Only the
worker sets `TRACKYARD_PRELOAD`: the scheduler and Flower read the same configuration and need none of it.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.app.amqp import AMQP
from celery.signals import task_prerun

log = logging.getLogger(__name__)

CELERY_CONFIG: dict[str, Any] = {
    **DEFAULT_CELERY_CONFIG,
    "worker_send_task_events": True,
}

# The arguments of Airflow's Celery tasks begin with a token, and Celery copies their first kilobyte into the events
# that Flower shows and its API serves. Cut at the source, no reader can show them.
AMQP.argsrepr_maxsize = AMQP.kwargsrepr_maxsize = 4


def _preload() -> None:
    import gc

    import airflow.dag_processing.bundles.local
    import airflow.dag_processing.dagbag
    import airflow.models
    import airflow.providers.smtp.hooks.smtp
    import airflow.providers.standard.decorators.python
    import airflow.providers.standard.operators.hitl
    import airflow.providers.standard.operators.trigger_dagrun
    import airflow.sdk.definitions.asset.metadata
    import airflow.sdk.definitions.connection
    import airflow.sdk.definitions.decorators
    import airflow.sdk.definitions.retry_policy
    import airflow.sdk.execution_time.supervisor
    import airflow.sdk.execution_time.task_runner

    from ml.steps import preload

    # Each task reads its DAG's file, and Airflow's models with it.
    airflow.models.import_all_models()
    preload.preload()
    # What is imported by now lives as long as the worker: keeping the collector off it leaves the pages shared.
    gc.collect()
    gc.freeze()


def _changed() -> dict[Path, int]:
    """When each file of `ml` was changed last, in nanoseconds since 1970."""
    return {path: path.stat().st_mtime_ns for path in (Path(__file__).parents[2] / "ml").rglob("*.py")}


def _renew(**_: Any) -> None:
    """Before a task: imports `ml` anew where its files changed since it was imported, so that the task runs them."""
    changed = _changed()
    if changed == _preloaded:
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "ml"]:
        del sys.modules[name]
    try:
        importlib.import_module("ml.steps.preload").import_ours()
    except Exception:
        # The task itself meets the same error, and tells the people who wait for it.
        log.exception("the changed code cannot be imported")
        return
    log.info("the code of ml changed, and was imported anew")
    _preloaded.clear()
    _preloaded.update(changed)


_preloaded: dict[Path, int] = {}
if os.environ.get("TRACKYARD_PRELOAD"):
    _preloaded.update(_changed())
    _preload()
    task_prerun.connect(_renew)
