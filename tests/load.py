"""A small HTTP load generator in a process of its own: `python -m tests.load HOST PORT ...`, JSON out.

Each connection sends a request, waits for the whole answer, and sends the next; so the number of connections is the
number of requests under way. Only what is needed of HTTP/1.1: answers with a Content-Length.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Load:
    """What to send, and for how long."""

    port: int
    path: str
    connections: int
    seconds: float
    body: bytes = b""

    def run(self) -> Figures:
        """Sends it from a process of its own."""
        command = [
            sys.executable, "-m", "tests.load", str(self.port), self.path, str(self.connections), str(self.seconds)
        ]  # fmt: skip
        done = subprocess.run(command, input=self.body, stdout=subprocess.PIPE, cwd=ROOT, check=True)
        return Figures(**json.loads(done.stdout))


@dataclass(frozen=True)
class Figures:
    """What came back: answers a second, how long they took in milliseconds, and how many were no 200."""

    per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, until: float, taken: list[float], errors: list[int]) -> None:
        self._request = request
        self._until = until
        self._taken = taken
        self._errors = errors
        self._buffer = b""
        self._left = -1
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._left < 0:
            head, mark, rest = self._buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            lower = head.lower()
            at = lower.index(b"content-length:") + 15
            end = lower.find(b"\r\n", at)
            self._left = int(lower[at : end if end > 0 else None]) - len(rest)
            if not head.startswith(b"HTTP/1.1 200"):
                self._errors.append(1)
        else:
            self._left -= len(data)
        if self._left <= 0:
            self._end()

    def _end(self) -> None:
        now = time.perf_counter()
        self._taken.append(now - self._sent)
        self._buffer, self._left = b"", -1
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def measure(load: Load) -> Figures:
    """Sends a load and measures."""
    head = (
        f"{'POST' if load.body else 'GET'} {load.path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(load.body)}\r\n\r\n"
    )
    taken: list[float] = []
    errors: list[int] = []
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(
            lambda: Client(head.encode() + load.body, started + load.seconds, taken, errors), "127.0.0.1", load.port
        ))[1]
        for _ in range(load.connections)
    ]  # fmt: skip
    await asyncio.gather(*(client.done for client in clients))
    lasted = time.perf_counter() - started
    taken.sort()
    at = [taken[min(int(len(taken) * share), len(taken) - 1)] * 1000 for share in (0.5, 0.99)]
    return Figures(len(taken) / lasted, at[0], at[1], len(errors))


def main() -> None:
    """Reads what to send from the arguments and stdin."""
    parser = argparse.ArgumentParser()
    for name, kind in (("port", int), ("path", str), ("connections", int), ("seconds", float)):
        parser.add_argument(name, type=kind)
    load = Load(**vars(parser.parse_args()), body=sys.stdin.buffer.read())
    print(json.dumps(asdict(asyncio.run(measure(load)))))


if __name__ == "__main__":
    main()
