"""Logging in to Airflow no more than needed, and saying what is wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import httpx
import pytest

from ml.errors import AirflowDown, BadInput, Misconfigured
from serving.upstream.airflow import AirflowClient

NOW = 1_000_000.0


def _token(expires: float, number: int) -> str:
    payload = (
        base64.urlsafe_b64encode(json.dumps({"iat": expires - 100, "exp": expires, "n": number}).encode())
        .decode()
        .rstrip("=")
    )
    return f"head.{payload}.sign"


class Server:
    """Airflow's API as far as a token goes."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.logins = 0
        self.valid = ""
        self.now = NOW
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            self.logins += 1
            self.valid = _token(self.now + 100, self.logins)
            return httpx.Response(201, json={"access_token": self.valid})
        if request.headers.get("Authorization") != f"Bearer {self.valid}":
            return httpx.Response(401, json={"detail": "Invalid auth token"})
        return self._answer(request)


def client(
    server: Callable[[httpx.Request], httpx.Response], clock: Callable[[], float] = lambda: NOW
) -> AirflowClient:
    return AirflowClient("http://airflow", "me", "secret", clock=clock, transport=httpx.MockTransport(server))


def _runs(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"dag_runs": [{"order": request.url.params["order_by"]}]})


def test_the_latest_run_is_the_one_with_the_latest_run_after() -> None:
    assert client(Server(_runs)).dag_runs("d") == [{"order": "-run_after"}]


def test_one_login_serves_many_requests_and_is_renewed_before_it_ends() -> None:
    server = Server(_runs)
    airflow = client(server, lambda: server.now)
    for _ in range(5):
        airflow.dag_runs("d")
    assert server.logins == 1

    server.now += 81
    airflow.dag_runs("d")

    assert server.logins == 2


def test_a_token_that_was_taken_back_costs_one_login() -> None:
    server = Server(_runs)
    airflow = client(server, lambda: server.now)
    airflow.dag_runs("d")
    server.valid = "another"
    server.now += 10

    airflow.dag_runs("d")

    assert server.logins == 2


def test_there_is_no_login_storm() -> None:
    server = Server(lambda request: httpx.Response(401, json={"detail": "no"}))
    airflow = client(server, lambda: server.now)
    for _ in range(20):
        with pytest.raises((AirflowDown, Misconfigured)):
            airflow.dag_runs("d")
        server.now += 0.1

    assert server.logins <= 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadInput), (403, Misconfigured), (404, BadInput), (422, BadInput), (500, AirflowDown), (503, AirflowDown)],
)
def test_a_refusal_is_told_in_airflows_words(status: int, kind: type[Exception]) -> None:
    server = Server(lambda request: httpx.Response(status, json={"detail": "the reason"}))

    with pytest.raises(kind, match="the reason"):
        client(server).dag_run("d", "r")


def test_no_answer_names_the_address() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(AirflowDown, match="http://airflow"):
        client(away).dag("d")


def test_an_answer_that_is_no_json_is_an_outage() -> None:
    with pytest.raises(AirflowDown, match="JSON"):
        client(Server(lambda request: httpx.Response(200, text="<html>"))).dag("d")


def test_triggering_twice_under_one_id_returns_the_run_that_is_there() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(409, json={"detail": "exists"})
        return httpx.Response(200, json={"dag_run_id": "mine"})

    assert client(Server(answer)).trigger("d", {}, "mine") == {"dag_run_id": "mine"}
