"""Threads that ask again and again."""

from __future__ import annotations

import threading

import pytest

from serving.upstream.polling import Pace, keep_refreshing


@pytest.mark.parametrize("fails", [False, True])
def test_a_refresher_goes_on_whatever_happens_and_ends_when_told(fails: bool) -> None:
    calls: list[int] = []
    enough = threading.Event()

    def refresh() -> None:
        calls.append(1)
        if len(calls) == 3:
            enough.set()
        if fails:
            raise RuntimeError("unforeseen")

    stop = keep_refreshing(refresh, lambda event: event.wait(0.001), "test")

    assert enough.wait(5)
    stop.set()


def test_questions_are_at_least_so_many_seconds_apart() -> None:
    now = [10.0]
    moments: list[float] = []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(1.0, clock=lambda: now[0], sleep=sleep)
    for taken in (0.2, 0.0, 3.0, 0.5):
        pace()
        moments.append(now[0])
        now[0] += taken

    assert moments == [10.0, 11.0, 12.0, 15.0]
