"""The client against real HTTP: how often it logs in, and what it says when Airflow is away or is none."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ml.errors import AirflowDown, Misconfigured
from serving.upstream.airflow import AirflowClient
from tests.fakes import Clock, QuietHandler, answering


class Server:
    """Stands in for Airflow: tokens that it gives and takes back, and one answer for everything else."""

    def __init__(self) -> None:
        self.logins = 0
        self.login_status = 201
        self.login_body: Any = None
        self.good: set[str] = set()
        self.answer: tuple[int, Any] = (200, {"dag_runs": [], "dag_id": "d"})
        self.paths: list[str] = []
        self.delay_s = 0.0
        self.url = ""

    def login(self) -> tuple[int, Any]:
        self.logins += 1
        if self.login_status != 201:
            return self.login_status, {"detail": "Invalid credentials"}
        claims = base64.urlsafe_b64encode(json.dumps({"iat": 5, "exp": 105, "n": self.logins}).encode()).decode()
        token = f"h.{claims.rstrip('=')}.s"
        self.good.add(token)
        return 201, self.login_body or {"access_token": token}

    def ask(self, path: str, authorization: str) -> tuple[int, Any]:
        self.paths.append(path)
        if authorization.removeprefix("Bearer ") not in self.good:
            return 401, {"detail": "Invalid JWT token"}
        return self.answer

    def handler(self) -> type[QuietHandler]:
        server = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.tell(server.ask(self.path, self.headers.get("Authorization", "")))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.tell(server.login())

            def tell(self, answer: tuple[int, Any]) -> None:
                time.sleep(server.delay_s)
                body = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    with answering(found.handler()) as found.url:
        yield found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def airflow(server: Server, clock: Clock) -> Iterator[AirflowClient]:
    found = AirflowClient(server.url, "status", "a-secret-word", timeout_s=2, clock=clock)
    yield found
    found.close()


def test_many_threads_share_one_login(server: Server, airflow: AirflowClient) -> None:
    threads = [threading.Thread(target=airflow.dag_runs, args=("d",)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (server.logins, len(server.paths)) == (1, 12)


def test_a_token_is_renewed_at_four_fifths_of_its_life_whatever_clock_airflow_has(
    server: Server, airflow: AirflowClient, clock: Clock
) -> None:
    airflow.dag_runs("d")
    clock.now = 79
    airflow.dag_runs("d")
    assert server.logins == 1
    clock.now = 81
    airflow.dag_runs("d")

    assert server.logins == 2


def test_a_renewal_that_fails_is_neither_felt_nor_repeated_while_the_old_token_is_good(
    server: Server, airflow: AirflowClient, clock: Clock
) -> None:
    airflow.dag_runs("d")
    clock.now, server.login_status = 90, 500
    for _ in range(10):
        assert airflow.dag_runs("d") == []
    assert server.logins == 2

    clock.now, server.login_status = 96, 201
    airflow.dag_runs("d")
    assert server.logins == 3


def test_a_password_that_is_wrong_is_told_each_time_and_tried_every_five_seconds(
    server: Server, airflow: AirflowClient, clock: Clock
) -> None:
    server.login_status = 401
    for _ in range(20):
        clock.now += 1
        with pytest.raises(Misconfigured, match="refuses 'status'") as caught:
            airflow.dag_runs("d")
        assert "a-secret-word" not in str(caught.value)

    assert server.logins == 4


def test_tokens_that_are_all_taken_back_are_said_to_be(server: Server, airflow: AirflowClient, clock: Clock) -> None:
    server.login_body = {"access_token": "never-good"}
    server.good = set()
    for _ in range(10):
        clock.now += 0.1
        with pytest.raises(AirflowDown, match="takes back each login"):
            airflow.dag_runs("d")
        server.good.clear()

    assert server.logins == 1


def test_an_airflow_that_was_away_is_asked_again_at_once(clock: Clock) -> None:
    is_away = [True]

    def answer(request: httpx.Request) -> httpx.Response:
        if is_away[0]:
            raise httpx.ConnectError("refused")
        return httpx.Response(201, json={"access_token": "t"} if request.method == "POST" else {"dag_runs": []})

    airflow = AirflowClient("http://a", "status", "x", clock=clock, transport=httpx.MockTransport(answer))
    for _ in range(5):
        with pytest.raises(AirflowDown, match="refused"):
            airflow.dag_runs("d")
    is_away[0] = False

    assert airflow.dag_runs("d") == []


def test_a_late_401_does_not_cost_the_token_that_another_thread_fetched(clock: Clock) -> None:
    given: list[str] = []
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            given.append(f"token{len(given)}")
            return httpx.Response(201, json={"access_token": given[-1]})
        token = request.headers["Authorization"].removeprefix("Bearer ")
        asked.append(token)
        if len(asked) == 1:
            # While this answer is on its way, another call finds its token taken back, and logs in.
            clock.now += 10
            airflow.dag_runs("d")
        return httpx.Response(401 if token == "token0" else 200, json={"dag_runs": []})

    airflow = AirflowClient("http://a", "status", "x", clock=clock, transport=httpx.MockTransport(answer))

    assert airflow.dag_runs("d") == []
    assert given == ["token0", "token1"]


def test_an_airflow_that_hangs_is_given_up_and_named(server: Server, clock: Clock) -> None:
    server.delay_s = 0.5
    airflow = AirflowClient(server.url, "status", "x", timeout_s=0.1, clock=clock)

    with pytest.raises(AirflowDown, match=server.url):
        airflow.dag_runs("d")


@pytest.mark.parametrize(
    "answer",
    [
        (200, []),
        (200, {}),
        (200, {"dag_runs": None}),
        (200, {"dag_runs": [1]}),
        (200, b"<html>"),
        (302, {}),
        (200, b""),
    ],
)
def test_something_else_than_airflow_is_an_outage_and_no_crash(
    server: Server, airflow: AirflowClient, answer: tuple[int, Any]
) -> None:
    server.answer = answer

    with pytest.raises(AirflowDown, match=server.url):
        airflow.dag_runs("d")


@pytest.mark.parametrize("body", [{"access_token": None}, {"token": "x"}, ["x"], b"no json"])
def test_a_login_without_a_token_is_an_outage(server: Server, airflow: AirflowClient, body: Any) -> None:
    server.login_body = body

    with pytest.raises(AirflowDown, match=server.url):
        airflow.dag_runs("d")


def test_ids_cannot_lead_anywhere_else(server: Server, airflow: AirflowClient) -> None:
    airflow.dag_run("d", "../../variables?x=1#y")

    assert server.paths == ["/api/v2/dags/d/dagRuns/..%2F..%2Fvariables%3Fx%3D1%23y"]


def test_an_address_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(Misconfigured, match="no address of Airflow"):
        AirflowClient("http://127.0.0.1:port", "status", "x")
