"""Celery's configuration, and the place where the worker imports what tasks need, once, before it forks.

Airflow names this module in `[celery] celery_config_options`. A task runs in a process that is forked from the
worker's, so whatever is imported here costs a task nothing; without it each task spends 5 to 9 s on imports. Only the
worker sets `TRACKYARD_PRELOAD`: the scheduler and Flower read the same configuration and need none of it.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.app.amqp import AMQP

CELERY_CONFIG: dict[str, Any] = {
    **DEFAULT_CELERY_CONFIG,
    "worker_send_task_events": True,
}

# The arguments of Airflow's Celery tasks begin with a token, and Celery copies their first kilobyte into the events
# that Flower shows and its API serves. Cut at the source, no reader can show them.
AMQP.argsrepr_maxsize = AMQP.kwargsrepr_maxsize = 4


def _preload() -> None:
    import gc

    import airflow.providers.smtp.hooks.smtp
    import airflow.providers.standard.decorators.python
    import airflow.providers.standard.operators.hitl
    import airflow.providers.standard.operators.trigger_dagrun
    import airflow.sdk.execution_time.supervisor
    import airflow.sdk.execution_time.task_runner  # noqa: F401

    from ml.steps import preload

    preload.preload()
    # What is imported by now lives as long as the worker: keeping the collector off it leaves the pages shared.
    gc.collect()
    gc.freeze()


if os.environ.get("TRACKYARD_PRELOAD"):
    _preload()
