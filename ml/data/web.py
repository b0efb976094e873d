"""Fetches a data set from a web server that a setting allows. Effects: the network.

The name is looked up once, every answer is checked, and the connection goes to the very number that was checked, so
that a name which changes its mind in between (DNS rebinding) gains nothing. Redirects pass the same checks.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from urllib.parse import urljoin

from ml.data.addresses import WebAddress, locate_web, refuse_inner
from ml.errors import BadInput, StoreDown, UnreadableData

TIMEOUT_S = 30.0
MAX_REDIRECTS = 3
_CHUNK = 2**16

Resolve = Callable[[str, int], list[str]]
Connect = Callable[[tuple[str, int], float], socket.socket]


def numbers_of(host: str, port: int) -> list[str]:
    """Every IP address of a host; `UnreadableData` where the name is unknown."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreadableData(f"the host {host!r} is not known ({error}): correct the address") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def check(uri: str, hosts: tuple[str, ...], resolve: Resolve = numbers_of) -> tuple[WebAddress, str]:
    """The parts of an allowed address, and the number to connect to.

    Raises:
        BadInput: The host is not allowed, or one of its numbers is inside this machine or its link.
        UnreadableData: The host is not known.
    """
    address = locate_web(uri, hosts)
    numbers = resolve(address.host, address.port)
    refuse_inner(address, numbers)
    return address, numbers[0]


def fetch(
    uri: str,
    hosts: tuple[str, ...],
    max_bytes: int,
    resolve: Resolve = numbers_of,
    connect: Connect = socket.create_connection,
) -> bytes:
    """The content of a web address at an allowed host.

    Raises:
        BadInput: The address, or one that it redirects to, is not allowed.
        UnreadableData: There is no such file, or it is larger than `max_bytes`.
        StoreDown: The server does not answer, or fails.
    """
    for _ in range(MAX_REDIRECTS + 1):
        address, number = check(uri, hosts, resolve)
        connection = _open(address, number, connect)
        try:
            connection.request("GET", address.target, headers={"Accept": "*/*", "User-Agent": "trackyard"})
            answer = connection.getresponse()
            if answer.status in (301, 302, 303, 307, 308):
                uri = urljoin(uri, answer.headers.get("Location", ""))
                continue
            return _body(address, answer, max_bytes)
        except (OSError, http.client.HTTPException) as error:
            raise StoreDown(f"{address} does not answer ({type(error).__name__}: {error}): try again later") from error
        finally:
            connection.close()
    raise BadInput(f"{address} redirects more than {MAX_REDIRECTS} times: give the address of the file itself")


def _open(address: WebAddress, number: str, connect: Connect) -> http.client.HTTPConnection:
    """A connection that speaks for the host's name (also in TLS) and goes to the number."""
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=TIMEOUT_S)
    connection._create_connection = lambda place, timeout, source: connect((number, place[1]), TIMEOUT_S)  # type: ignore[attr-defined]
    return connection


def _body(address: WebAddress, answer: http.client.HTTPResponse, max_bytes: int) -> bytes:
    if answer.status != 200:
        if answer.status >= 500 or answer.status == 429:
            raise StoreDown(f"{address} answers {answer.status}: try again later")
        raise UnreadableData(f"{address} answers {answer.status} {answer.reason}: correct the address")
    content = bytearray()
    while piece := answer.read(_CHUNK):
        content += piece
        if len(content) > max_bytes:
            raise UnreadableData(f"{address} has more than the {max_bytes:,} bytes that data.max_bytes allows")
    if answer.length:
        raise StoreDown(f"{address} ended {answer.length:,} bytes too early: try again")
    return bytes(content)
