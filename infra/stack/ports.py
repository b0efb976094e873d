"""Which port each part listens on: as set, as remembered, or the next free one."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import chain

import psutil

from infra.credentials import write_private
from infra.settings import DEFAULT_PORTS, HOST, INTERNAL_PORTS, Settings, port_setting
from ml.errors import Misconfigured


def is_free(port: int) -> bool:
    """Tells whether a server could listen on the port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def owner(port: int) -> str:
    """Names the process that listens on the port, as far as this user may see it."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens_at = connection.laddr.port if connection.laddr else None
            if listens_at == port and connection.status == psutil.CONN_LISTEN and connection.pid is not None:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "a process of another user"


def remembered(settings: Settings) -> dict[str, int]:
    """The ports of the last start, empty before the first."""
    try:
        stored = json.loads(settings.ports_file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): int(port) for name, port in stored.items()}


def choose(settings: Settings, say: Callable[[str], None], free: Callable[[int], bool] = is_free) -> dict[str, int]:
    """Chooses every port, remembers the choice, and says where a default gave way.

    Raises:
        Misconfigured: A port that was set is taken, or set twice.
    """
    before = remembered(settings)
    chosen: dict[str, int] = {}
    for name, port in settings.ports.items():
        if port is not None:
            _check_set(name, port, chosen, free)
            chosen[name] = port
    for name, default in {**DEFAULT_PORTS, **_internal(settings)}.items():
        if name in chosen:
            continue
        wanted = before.get(name, default)
        chosen[name] = _next_free(wanted, set(chosen.values()), free)
        if chosen[name] != wanted and name in DEFAULT_PORTS:
            say(
                f"port {wanted} is taken by {owner(wanted)}: {name} uses {chosen[name]} "
                f"(set {port_setting(name)} to choose)"
            )
    write_private(settings.ports_file, json.dumps(chosen, indent=1))
    return chosen


def _internal(settings: Settings) -> dict[str, int]:
    """Where the internal ports are looked for: a range of each home's own, below the ports that clients get.

    Two stacks that start at the same moment would else both find the same port free.
    """
    first = 20000 + 10 * (int(hashlib.sha256(str(settings.home).encode()).hexdigest(), 16) % 1200)
    return {name: first + number for number, name in enumerate(INTERNAL_PORTS)}


def _check_set(name: str, port: int, chosen: Mapping[str, int], free: Callable[[int], bool]) -> None:
    variable = port_setting(name)
    if port in chosen.values():
        raise Misconfigured(f"{variable} is {port}, which another part was given: choose a different port")
    if not free(port):
        raise Misconfigured(
            f"port {port} ({variable}) is taken by {owner(port)}: stop it, or set {variable} to a free port"
        )


def _next_free(wanted: int, taken: set[int], free: Callable[[int], bool]) -> int:
    for port in chain(range(wanted, min(wanted + 1000, 65536)), range(20000, 65536)):
        if port not in taken and free(port):
            return port
    raise Misconfigured(f"no free port from {wanted} upwards: free one, or set the port")
