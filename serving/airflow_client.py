"""Airflow's REST API, as far as the service and the command line use it. Effects: HTTP."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from ml.errors import AirflowDown, BadInput, Misconfigured

_API = "/api/v2"
_LOGIN_PAUSE_S = 5.0


class AirflowClient:
    """Calls Airflow's API under one account; one object may be shared by threads.

    Args:
        base_url: Airflow's address.
        username: The account.
        password: Its password.
        timeout_s: How many seconds one request may take.
        clock: Seconds since the epoch.
        transport: What carries the requests; the network when None.
    """

    def __init__(
        self,
        base_url: str,
        username: str,
        password: str,
        *,
        timeout_s: float = 3.0,
        clock: Callable[[], float] = time.time,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._account = {"username": username, "password": password}
        self._clock = clock
        self._http = httpx.Client(base_url=self.base_url, timeout=timeout_s, transport=transport, trust_env=False)
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._last_login = float("-inf")

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def health(self) -> dict[str, Any]:
        """The state of the metadata database, scheduler, triggerer and DAG processor; needs no account."""
        return dict(self._answer(self._send("GET", "/monitor/health", {})))

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any], run_id: str | None = None, note: str | None = None
    ) -> dict[str, Any]:
        """Starts a DAG run.

        Args:
            dag_id: The DAG.
            conf: Its parameters.
            run_id: The run's id; with one of the caller's choosing a lost answer can be asked for again, and the run
                that is there already is returned.
            note: A note on the run.

        Raises:
            BadInput: Airflow refuses a parameter; the message is its own.
        """
        body = {"conf": dict(conf), "logical_date": None, "dag_run_id": run_id, "note": note}
        given = {key: value for key, value in body.items() if value is not None or key == "logical_date"}
        answer = self._call("POST", f"/dags/{quote(dag_id)}/dagRuns", json=given, accept=(409,))
        if answer.status_code == 409 and run_id is not None:
            return self.dag_run(dag_id, run_id)
        return dict(self._answer(answer))

    def dag(self, dag_id: str) -> dict[str, Any]:
        """What Airflow knows of a DAG."""
        return dict(self._answer(self._call("GET", f"/dags/{quote(dag_id)}")))

    def unpause(self, dag_id: str) -> None:
        """Lets the runs of a DAG start."""
        self._answer(self._call("PATCH", f"/dags/{quote(dag_id)}", json={"is_paused": False}))

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One DAG run."""
        return dict(self._answer(self._call("GET", self._run(dag_id, run_id))))

    def dag_runs(
        self, dag_id: str, limit: int = 25, order_by: str = "-run_after", state: str | None = None
    ) -> list[dict[str, Any]]:
        """DAG runs, the latest first; manual runs have no logical date, so that says nothing about their order."""
        params: dict[str, str | int] = {"limit": limit, "order_by": order_by}
        if state:
            params["state"] = state
        answer = self._answer(self._call("GET", f"/dags/{quote(dag_id)}/dagRuns", params=params))
        return list(answer["dag_runs"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a DAG run."""
        answer = self._answer(self._call("GET", self._run(dag_id, run_id) + "/taskInstances", params={"limit": 100}))
        return list(answer["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task handed over; None when it handed nothing over."""
        path = f"{self._run(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        answer = self._call("GET", path, params={"deserialize": "true"}, accept=(404,))
        return None if answer.status_code == 404 else self._answer(answer)["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[str]:
        """The lines of a task's log."""
        path = f"{self._run(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}"
        content = self._answer(self._call("GET", path, params={"full_content": "true"})).get("content") or []
        return [str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in content]

    def clear(self, dag_id: str, run_id: str, task_ids: list[str]) -> None:
        """Lets tasks of a finished run, and what follows them, run again."""
        body = {
            "dag_run_id": run_id,
            "task_ids": task_ids,
            "dry_run": False,
            "only_failed": False,
            "reset_dag_runs": True,
            "include_downstream": True,
        }
        self._answer(self._call("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", json=body))

    def patch_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Sets the state of a run: `failed` stops it."""
        self._answer(self._call("PATCH", self._run(dag_id, run_id), json={"state": state}))

    def _run(self, dag_id: str, run_id: str) -> str:
        return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"

    def _call(self, method: str, path: str, accept: tuple[int, ...] = (), **options: Any) -> httpx.Response:
        answer = self._send(method, path, {"Authorization": f"Bearer {self._current_token()}"}, **options)
        if answer.status_code == 401:
            # The token was revoked, or signed before Airflow's key changed: one fresh login, and no more than that.
            self._forget_token()
            answer = self._send(method, path, {"Authorization": f"Bearer {self._current_token()}"}, **options)
        if answer.status_code not in accept:
            self._refuse(answer)
        return answer

    def _send(self, method: str, path: str, headers: Mapping[str, str], **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, _API + path, headers=dict(headers), **options)
        except httpx.HTTPError as error:
            raise self._down(error) from error

    def _down(self, error: Exception) -> AirflowDown:
        return AirflowDown(f"Airflow at {self.base_url} does not answer ({error or type(error).__name__}): is it up?")

    def _refuse(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        detail = _detail(answer)
        if answer.status_code in (401, 403):
            raise Misconfigured(f"Airflow at {self.base_url} refuses {self._account['username']!r} ({detail})")
        if answer.status_code >= 500:
            raise AirflowDown(f"Airflow at {self.base_url} failed ({answer.status_code} {detail}): see its log")
        raise BadInput(f"Airflow refuses: {detail}")

    def _answer(self, answer: httpx.Response) -> Any:
        self._refuse(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise AirflowDown(f"Airflow at {self.base_url} answered with something else than JSON") from error

    def _forget_token(self) -> None:
        with self._lock:
            self._token = ""

    def _current_token(self) -> str:
        with self._lock:
            now = self._clock()
            if self._token and now < self._renew_at:
                return self._token
            if now - self._last_login < _LOGIN_PAUSE_S and not self._token:
                raise AirflowDown(f"Airflow at {self.base_url} took back the login of {self._account['username']!r}")
            self._last_login = now
            self._token = self._login()
            self._renew_at = _renewal(self._token, now)
            return self._token

    def _login(self) -> str:
        try:
            answer = self._http.post("/auth/token", json=self._account)
        except httpx.HTTPError as error:
            raise self._down(error) from error
        self._refuse(answer)
        return str(self._answer(answer)["access_token"])


def _renewal(token: str, now: float) -> float:
    """When to log in again: after four fifths of the token's life, which it carries itself."""
    try:
        payload = token.split(".")[1]
        expires = float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (IndexError, ValueError, KeyError):
        return now + 600
    return now + max(expires - now, 0) * 0.8


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json().get("detail", answer.text)
    except (ValueError, AttributeError):
        detail = answer.text
    return " ".join((detail if isinstance(detail, str) else json.dumps(detail)).split())[:500]
