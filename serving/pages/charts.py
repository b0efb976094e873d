"""Where the bars of the pages' charts go, in hundredths of the chart's width and height. Pure.

The charts hold bars alone: all that is to be read stands beside them as text, which keeps its size on a phone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

_SHOWN_BARS = 120
_LEAST_HEIGHT = 4.0
_LEAST_WIDTH = 0.6
_WIDEST = 5.0


def seconds(text: str | None) -> float | None:
    """A time of Airflow's in seconds since 1970; None where there is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def history(runs: list[dict[str, Any]], chosen: str) -> dict[str, Any]:
    """The bars of the latest runs, which come newest first, the oldest at the left, each as high as it took long."""
    shown = list(reversed(runs[:_SHOWN_BARS]))
    longest = max((run["duration_s"] or 0.0 for run in shown), default=0.0)
    heights = [(run["duration_s"] or 0.0) / longest if longest else 0.0 for run in shown]
    bars = [
        {**place, "run": run, "chosen": run["dag_run_id"] == chosen}
        for place, run in zip(_standing(heights), shown, strict=True)
    ]
    return {"bars": bars, "longest_s": longest, "count": len(shown)}


def trend(versions: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    """The bars of one metric by version, the oldest at the left, from just below the least to the largest value.

    The versions come newest first; those without the metric are left out.
    """
    shown = [version for version in reversed(versions) if metric in version["metrics"]]
    values = [version["metrics"][metric] for version in shown]
    low, high = min(values, default=0.0), max(values, default=0.0)
    heights = [0.2 + 0.8 * (value - low) / (high - low) if high > low else 1.0 for value in values]
    bars = [
        {**place, "version": version, "value": value}
        for place, version, value in zip(_standing(heights), shown, values, strict=True)
    ]
    return {"bars": bars, "metric": metric, "low": low, "high": high}


def _standing(heights: list[float]) -> list[dict[str, float]]:
    step = min(100.0 / max(len(heights), 1), _WIDEST)
    tall = [_LEAST_HEIGHT + (100.0 - _LEAST_HEIGHT) * share for share in heights]
    return [
        {
            "x": round(at * step + step * 0.1, 3),
            "y": round(100.0 - height, 3),
            "width": round(step * 0.8, 3),
            "height": round(height, 3),
        }
        for at, height in enumerate(tall)
    ]


def gantt(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """The bars of a run's tasks, from the moment at which the first could start to the last end.

    A task that still runs ends with the others. Left of a bar, `waited` wide, the task could start and had no worker
    yet: `waited_s` seconds, which are None where it has not started.
    """
    timed = [_times(task) for task in tasks]
    starts = [start for _, start, _ in timed if start is not None]
    first = min((could for could, start, _ in timed if start is not None), default=0.0)
    last = max([*starts, *(end for _, _, end in timed if end is not None)], default=first)
    span = max(last - first, 0.001)
    bars: list[dict[str, Any]] = []
    for task, (could, start, end) in zip(tasks, timed, strict=True):
        if start is None:
            bars.append({"x": 0.0, "width": 0.0, "waited": 0.0, "waited_s": None, "task": task})
            continue
        width = max(((end if end is not None else last) - start) / span * 100.0, _LEAST_WIDTH)
        x = max(min((start - first) / span * 100.0, 100.0 - width), 0.0)
        waited = min((start - could) / span * 100.0, x)
        bars.append(
            {
                "x": round(x, 3),
                "width": round(width, 3),
                "waited": round(waited, 3),
                "waited_s": start - could,
                "task": task,
            }
        )
    return {"bars": bars, "span_s": span if starts else 0.0}


def _times(task: dict[str, Any]) -> tuple[float, float | None, float | None]:
    """When a task could start, when it did, and its end."""
    start = seconds(task["start"])
    could = seconds(task.get("scheduled"))
    return min(could or start or 0.0, start or 0.0), start, seconds(task["end"])
