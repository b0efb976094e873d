"""Bars stay inside their chart, whatever is to be shown."""

from __future__ import annotations

from typing import Any

import pytest

from serving.pages import charts


def run(number: int, duration_s: float | None) -> dict[str, Any]:
    return {"dag_run_id": f"r{number}", "state": "success", "duration_s": duration_s}


def task(start: str | None, end: str | None) -> dict[str, Any]:
    return {"task_id": "t", "state": "success", "start": start, "end": end}


@pytest.mark.parametrize("durations", [[], [None], [0.0], [5.0], [1.0, 2.0, None] * 200])
def test_the_history_fits(durations: list[float | None]) -> None:
    found = charts.history([run(number, one) for number, one in enumerate(durations)], "r0")

    assert all(bar["x"] >= 0 and bar["x"] + bar["width"] <= 100 for bar in found["bars"])
    assert all(bar["y"] >= 0 and bar["y"] + bar["height"] <= 100.001 for bar in found["bars"])
    assert len(found["bars"]) == min(len(durations), 120)
    assert [bar["run"]["dag_run_id"] for bar in found["bars"] if bar["chosen"]] == (["r0"] if durations else [])


@pytest.mark.parametrize(
    "tasks",
    [
        [], [task(None, None)], [task("2026-01-01T00:00:00Z", None)],
        [task("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")],
        [task("2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"), task("2026-01-01T00:00:05Z", "2026-01-01T00:00:09Z")],
        [task("nonsense", "2026-01-01T00:00:09Z")],
    ],
)  # fmt: skip
def test_the_gantt_chart_fits(tasks: list[dict[str, Any]]) -> None:
    found = charts.gantt(tasks)

    assert len(found["bars"]) == len(tasks)
    assert all(bar["x"] >= 0 and bar["x"] + bar["width"] <= 100.001 for bar in found["bars"])


def test_the_gantt_chart_shows_what_came_after_what() -> None:
    first, second = charts.gantt(
        [task("2026-01-01T00:00:00Z", "2026-01-01T00:00:06Z"), task("2026-01-01T00:00:06Z", "2026-01-01T00:00:08Z")]
    )["bars"]

    assert (first["x"], first["width"]) == (0.0, 75.0)
    assert (second["x"], second["width"]) == (75.0, 25.0)


def test_the_gantt_chart_tells_waiting_from_working() -> None:
    begun = task("2026-01-01T00:00:02Z", "2026-01-01T00:00:06Z") | {"scheduled": "2026-01-01T00:00:00Z"}
    waits = task(None, None) | {"scheduled": "2026-01-01T00:00:06Z"}
    # Deferred and started again: it was scheduled after its first start.
    resumed = task("2026-01-01T00:00:06Z", "2026-01-01T00:00:10Z") | {"scheduled": "2026-01-01T00:00:08Z"}

    first, second, third = charts.gantt([begun, waits, resumed])["bars"]

    assert (first["x"], first["width"], first["waited"], first["waited_s"]) == (20.0, 40.0, 20.0, 2.0)
    assert (second["width"], second["waited"], second["waited_s"]) == (0.0, 0.0, None)
    assert (third["x"], third["waited"], third["waited_s"]) == (60.0, 0.0, 0.0)


@pytest.mark.parametrize("values", [[], [0.9], [0.9, 0.9], [0.1, 0.5, 0.9]])
def test_the_trend_fits(values: list[float]) -> None:
    versions = [{"version": str(at), "aliases": [], "metrics": {"m": value}} for at, value in enumerate(values)]

    found = charts.trend([*versions, {"version": "x", "aliases": [], "metrics": {}}], "m")

    assert [bar["value"] for bar in found["bars"]] == values[::-1]
    assert all(bar["y"] >= 0 and bar["y"] + bar["height"] <= 100.001 for bar in found["bars"])
