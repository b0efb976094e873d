"""HTTP as uvicorn speaks it with our limits, over real connections of this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from serving.web import protocol
from serving.web.protocol import LimitedHttp
from tests.support import wait_for


class Echo:
    """Answers with the body it got."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        length = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def connection(echo: Echo) -> Iterator[socket.socket]:
    config = uvicorn.Config(
        echo, port=0, http=LimitedHttp, ws="none", lifespan="off", interface="asgi3", proxy_headers=False, log_level=50
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started, "the server", 20)
    address = server.servers[0].sockets[0].getsockname()
    with socket.create_connection(address, timeout=20) as found:
        yield found
    server.should_exit = True
    thread.join(20)


def post(body: bytes, **headers: str) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST / HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def read(connection: socket.socket, until: bytes) -> bytes:
    found = b""
    while not found.endswith(until):
        piece = connection.recv(65536)
        if not piece:
            break
        found += piece
    return found


def test_one_request_after_the_other_is_answered(connection: socket.socket) -> None:
    for _ in range(3):
        connection.sendall(post(b"abc"))
        assert read(connection, b"abc").startswith(b"HTTP/1.1 200")


def test_a_request_begins_with_its_head(connection: socket.socket, echo: Echo) -> None:
    whole = post(b"abc")
    connection.sendall(whole[:-1])
    wait_for(lambda: echo.asked == 1, "the head to be read")
    connection.sendall(whole[-1:])

    assert read(connection, b"abc").endswith(b"\r\n\r\nabc")


def test_requests_behind_each_other_are_answered_in_their_order(connection: socket.socket) -> None:
    connection.sendall(post(b"first") + post(b"second") + post(b"third") + post(b"last"))

    found = read(connection, b"last")

    assert [found.index(each) for each in (b"first", b"second", b"third", b"last")] == sorted(
        found.index(each) for each in (b"first", b"second", b"third", b"last")
    )
    assert found.count(b"HTTP/1.1 200") == 4


def test_a_connection_that_is_to_be_closed_is_closed(connection: socket.socket, echo: Echo) -> None:
    connection.sendall(post(b"abc", Connection="close"))

    found = read(connection, b"nothing ends like this")

    assert found.endswith(b"abc")
    assert b"connection: close" in found


def test_a_sender_that_asks_first_is_told_to_go_on(connection: socket.socket, echo: Echo) -> None:
    connection.sendall(post(b"abc", Expect="100-continue")[:-3])
    assert read(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
    connection.sendall(b"abc")

    assert read(connection, b"abc").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("piece", [b"X-A: b\r\n", b"x"], ids=["many headers", "one without an end"])
def test_a_head_without_an_end_is_refused(connection: socket.socket, piece: bytes) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
    try:
        for _ in range(40):
            connection.sendall(piece * (8192 // len(piece)))
    except OSError:
        return  # It was closed while this was still being sent.

    assert read(connection, b"bytes.").startswith(b"HTTP/1.1 400")


def test_a_head_that_takes_too_long_is_refused(
    monkeypatch: pytest.MonkeyPatch, echo: Echo, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.2)
    connection = request.getfixturevalue("connection")
    connection.sendall(b"GET / HTT")

    assert b"did not arrive within" in read(connection, b"nothing ends like this")


def test_rubbish_is_refused(connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")

    assert read(connection, b"nothing ends like this").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("connection_header", ["Upgrade, HTTP2-Settings", "keep-alive, upgrade"])
def test_an_offer_of_another_protocol_costs_no_body(connection: socket.socket, connection_header: str) -> None:
    # As curl --http2 and Java's HttpClient send it.
    offers = {"Connection": connection_header, "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}

    connection.sendall(post(b"first", **offers) + post(b"second"))
    found = read(connection, b"second")
    whole = post(b"third", **offers)
    connection.sendall(whole[:60])
    connection.sendall(whole[60:-2])
    connection.sendall(whole[-2:])
    found += read(connection, b"third")

    assert found.count(b"HTTP/1.1 200") == 3
    assert [found.index(each) for each in (b"first", b"second", b"third")] == sorted(
        found.index(each) for each in (b"first", b"second", b"third")
    )


def test_an_offer_beside_chunks_costs_no_body(connection: socket.socket, echo: Echo) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + b"3\r\nabc\r\n0\r\n\r\n" + post(b"second"))

    assert b"\r\n\r\nabcHTTP/1.1 200" in read(connection, b"second")


def test_an_offer_and_a_wish_to_close_are_told_apart(connection: socket.socket, echo: Echo) -> None:
    connection.sendall(post(b"abc", Connection="close, Upgrade", Upgrade="websocket"))

    found = read(connection, b"nothing ends like this")
    assert b"connection: close" in found
    assert found.endswith(b"abc")


def test_a_tunnel_is_refused(connection: socket.socket, echo: Echo) -> None:
    connection.sendall(b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert read(connection, b"nothing ends like this").startswith(b"HTTP/1.1 400")
