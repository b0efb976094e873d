"""Fetching over HTTP, from a real server that an allowed public name stands for."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ml.data import web
from ml.errors import BadInput, StoreDown, UnreadableData
from tests.fakes import QuietHandler, answering

PUBLIC = "93.184.216.34"
HOSTS = ("data.example.org", "inner.example.org")
REDIRECTS = {
    "/moved": "/x.csv",
    "/to-loopback": "http://127.0.0.1:1/x.csv",
    "/to-name-inside": "http://inner.example.org/x.csv",
    "/to-metadata": "http://169.254.169.254/latest/",
    "/to-file": "file:///etc/passwd",
    "/to-other": "http://evil.org/x.csv",
    "/round": "/round",
}


class Handler(QuietHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in REDIRECTS:
            self.send_response(302)
            self.send_header("Location", REDIRECTS[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        status = {"/x.csv": 200, "/short": 200, "/broken": 500}.get(path, 404)
        body = b"a,b\n1,2\n" if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + (5 if path == "/short" else 0)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with answering(Handler) as url:
        yield int(url.rpartition(":")[2])


def resolve(host: str, port: int) -> list[str]:
    return {"data.example.org": [PUBLIC], "inner.example.org": [PUBLIC, "127.0.0.1"]}[host]


def fetch(port: int, path: str, max_bytes: int = 1000) -> bytes:
    def connect(place: tuple[str, int], timeout_s: float) -> socket.socket:
        assert place[0] == PUBLIC, "it connected to a number that was not checked"
        return socket.create_connection(("127.0.0.1", port), timeout_s)

    return web.fetch(f"http://data.example.org{path}", HOSTS, max_bytes, resolve, connect)


def test_a_file_is_fetched_also_where_it_moved(port: int) -> None:
    assert fetch(port, "/x.csv?v=1") == fetch(port, "/moved") == b"a,b\n1,2\n"


@pytest.mark.parametrize("path", ["/to-loopback", "/to-name-inside", "/to-metadata", "/to-file", "/to-other", "/round"])
def test_a_redirect_to_anywhere_else_is_refused(port: int, path: str) -> None:
    with pytest.raises(BadInput):
        fetch(port, path)


@pytest.mark.parametrize(
    ("path", "error", "told"),
    [
        ("/none", UnreadableData, "answers 404"), ("/broken", StoreDown, "answers 500"),
        ("/short", StoreDown, "too early"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told(port: int, path: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        fetch(port, path)


def test_too_many_bytes_are_refused_while_they_come(port: int) -> None:
    with pytest.raises(UnreadableData, match="more than the 4 bytes"):
        fetch(port, "/x.csv", max_bytes=4)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1", "0x7f.1"])
def test_a_listed_host_that_is_this_machine_is_refused_all_the_same(host: str) -> None:
    with pytest.raises((BadInput, UnreadableData)):
        web.fetch(f"http://{host}/x", (host,), 10)


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(UnreadableData, match="is not known"):
        web.check("http://nowhere.invalid/x", ("nowhere.invalid",))
