"""A small HTTP load generator in a process of its own: `python -m benchmarks.load HOST PORT ...`, JSON out.

Each connection sends a request, waits for the whole answer, and sends the next; so the number of connections is the
number of requests under way. With a pace each waits for its turn besides, and an answer that is late counts from when
the next request was due: whoever would have asked then would have waited too. Only what is needed of HTTP/1.1: answers
with a Content-Length.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
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
    per_s: float = 0.0

    def run(self) -> Figures:
        """Sends it from a process of its own."""
        command = [
            sys.executable, "-m", "benchmarks.load",
            str(self.port), self.path, str(self.connections), str(self.seconds), str(self.per_s),
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

    def __init__(self, request: bytes, until: float, every_s: float, taken: list[float], errors: list[int]) -> None:
        self._request = request
        self._until = until
        self._every_s = every_s
        self._due = time.perf_counter() + random.random() * every_s
        self._taken = taken
        self._errors = errors
        self._buffer = b""
        self._left = -1
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        wait_s = self._due - time.perf_counter() if self._every_s else 0.0
        if wait_s > 0:
            asyncio.get_running_loop().call_later(wait_s, self._send)
        else:
            self._send(self._due if self._every_s else None)

    def _send(self, due: float | None = None) -> None:
        self._sent = due or time.perf_counter()
        self._due += self._every_s
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
            self._next()
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
    every_s = load.connections / load.per_s if load.per_s else 0.0
    loop = asyncio.get_running_loop()
    request, until = head.encode() + load.body, started + load.seconds

    def client() -> Client:
        return Client(request, until, every_s, taken, errors)

    made = [await loop.create_connection(client, "127.0.0.1", load.port) for _ in range(load.connections)]
    await asyncio.gather(*(one.done for _, one in made))
    lasted = time.perf_counter() - started
    taken.sort()
    at = [taken[min(int(len(taken) * share), len(taken) - 1)] * 1000 for share in (0.5, 0.99)]
    return Figures(len(taken) / lasted, at[0], at[1], len(errors))


def main() -> None:
    """Reads what to send from the arguments and stdin."""
    parser = argparse.ArgumentParser()
    for name, kind in (("port", int), ("path", str), ("connections", int), ("seconds", float), ("per_s", float)):
        parser.add_argument(name, type=kind)
    load = Load(**vars(parser.parse_args()), body=sys.stdin.buffer.read())
    print(json.dumps(asdict(asyncio.run(measure(load)))))


if __name__ == "__main__":
    main()
