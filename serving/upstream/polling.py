"""Threads that ask again and again, and never more often than they may. Effects: threads."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Pace:
    """Waits, before each question, until so many seconds have gone since the one before."""

    def __init__(
        self, every_s: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._every_s = every_s
        self._clock = clock
        self._sleep = sleep
        self._last = float("-inf")

    def __call__(self) -> None:
        """Waits where it must."""
        left = self._last + self._every_s - self._clock()
        if left > 0:
            self._sleep(left)
        self._last = self._clock()


class Aside:
    """Runs jobs in a few threads, each when one is free; a job that hangs keeps nobody from ending the process."""

    def __init__(self, threads: int, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        for _ in range(threads):
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def __call__(self, job: Callable[[], None]) -> None:
        """Lets a job be run; it reports its own failures."""
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            self._jobs.get()()


def keep_refreshing(
    refresh: Callable[[], None], wait: Callable[[threading.Event], object], name: str
) -> threading.Event:
    """Calls `refresh` again and again in a thread of its own; what it raises is logged, and it is called again.

    `wait` waits for the next call; it gets the event that ends the thread when it is set, which is returned.
    """
    stop = threading.Event()

    def loop(event: threading.Event) -> None:
        while True:
            try:
                refresh()
            except Exception:
                log.exception("refresher=%s", name)
            wait(event)
            if event.is_set():
                return

    threading.Thread(target=loop, args=(stop,), name=name, daemon=True).start()
    return stop
