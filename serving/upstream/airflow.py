"""Airflow's REST API, as far as the service and the command line use it. Effects: HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx

from serving.upstream.airflow_rest import AirflowHttp

_quoted = partial(quote, safe="")


class AirflowClient:
    """Calls Airflow's API under one account; one object may be shared by threads.

    Every call raises AirflowDown where Airflow does not answer within `timeout_s`, Misconfigured where it refuses the
    account, and BadInput, with its own words, where it refuses what was asked. `transport` carries the requests; the
    network when None.
    """

    def __init__(
        self,
        base_url: str,
        username: str,
        password: str,
        *,
        timeout_s: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        account = {"username": username, "password": password}
        self._http = AirflowHttp(self.base_url, account, timeout_s, clock, transport)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any], run_id: str | None = None, note: str | None = None
    ) -> dict[str, Any]:
        """Starts a DAG run with the parameters in `conf`.

        With a `run_id` of the caller's choosing a lost answer can be asked for again, and the run that is there already
        is returned. BadInput has Airflow's own message where it refuses a parameter.
        """
        body = {"conf": dict(conf), "logical_date": None, "dag_run_id": run_id, "note": note}
        given = {key: value for key, value in body.items() if value is not None or key == "logical_date"}
        answer = self._http.call("POST", f"{_dag(dag_id)}/dagRuns", json=given)
        if answer.status_code == 409 and run_id is not None:
            return self.dag_run(dag_id, run_id)
        return self._http.read_object(answer)

    def dag(self, dag_id: str) -> dict[str, Any]:
        """What Airflow knows of a DAG."""
        return self._http.read_object(self._http.call("GET", _dag(dag_id)))

    def unpause(self, dag_id: str) -> None:
        """Lets the runs of a DAG start."""
        self._http.read_object(self._http.call("PATCH", _dag(dag_id), json={"is_paused": False}))

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One DAG run."""
        return self._http.read_object(self._http.call("GET", run_path(dag_id, run_id)))

    def dag_runs(
        self, dag_id: str, limit: int = 25, order_by: str = "-run_after", state: str | None = None, offset: int = 0
    ) -> list[dict[str, Any]]:
        """DAG runs, the latest first; manual runs have no logical date, so that says nothing about their order."""
        params = {"limit": limit, "order_by": order_by, "offset": offset, **({"state": state} if state else {})}
        answer = self._http.call("GET", f"{_dag(dag_id)}/dagRuns", params=params)
        return self._http.read_list(answer, "dag_runs")

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a DAG run."""
        answer = self._http.call("GET", f"{run_path(dag_id, run_id)}/taskInstances", params={"limit": 100})
        return self._http.read_list(answer, "task_instances")

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[str]:
        """The lines of a task's log; one of a mapped task's is called `task[2]`."""
        name, _, index = task_id.removesuffix("]").partition("[")
        path = f"{run_path(dag_id, run_id)}/taskInstances/{_quoted(name)}/logs/{try_number}"
        answer = self._http.call("GET", path, params={"full_content": "true", "map_index": index or "-1"})
        content = self._http.read_object(answer).get("content") or []
        return [str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in content]


def _dag(dag_id: str) -> str:
    return f"/dags/{_quoted(dag_id)}"


def run_path(dag_id: str, run_id: str) -> str:
    """Where Airflow's API has a DAG run."""
    return f"{_dag(dag_id)}/dagRuns/{_quoted(run_id)}"
