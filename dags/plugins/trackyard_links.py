"""The buttons on each task's page in Airflow that lead to its MLflow run and its model version."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from airflow.sdk import BaseOperatorLink

log = logging.getLogger(__name__)


@lru_cache(maxsize=8)
def _links(dag_id: str, run_id: str) -> dict[str, str | None]:
    from ml import steps

    return steps.links(dag_id, run_id)


def _link(ti_key: Any, which: str) -> str:
    """A link of the run that a task instance belongs to; empty when it cannot be told: a button decides nothing."""
    try:
        return _links(ti_key.dag_id, ti_key.run_id)[which] or ""
    except Exception as error:  # noqa: BLE001 - a missing button must not fail a task
        log.warning("link=%s error=%s", which, error)
        return ""


class MlflowRunLink(BaseOperatorLink):
    """Leads to the MLflow run of the DAG run."""

    name = "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address of the MLflow run."""
        return _link(ti_key, "run")


class ModelVersionLink(BaseOperatorLink):
    """Leads to the model version that the DAG run registered."""

    name = "Model version"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address of the registered version, empty before there is one."""
        return _link(ti_key, "model")
