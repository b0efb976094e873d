"""Measures the stack's start, the DAG, and the memory: `make bench`. Figures are printed, nothing is asserted."""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

import psutil

from infra.settings import Settings
from infra.stack import control
from infra.stack.info import StackInfo, status
from infra.stack.parts import PART_NAMES
from tests.support import PIPELINE, RunningStack, Silent, clean_environ, port_settings

RUNS = 5


def main() -> None:
    """Starts a stack of its own twice (first and warm), runs the DAG, and adds up the memory."""
    with tempfile.TemporaryDirectory(prefix="trackyard-bench-") as directory:
        settings = Settings.from_env(clean_environ(Path(directory) / "state", **port_settings()))
        try:
            _measure(settings)
        finally:
            control.down(settings, Silent())


def _measure(settings: Settings) -> None:
    print(f"start, the first in a new folder: {_seconds(lambda: control.up(settings, Silent())):6.1f} s")
    print(f"stop:                             {_seconds(lambda: control.down(settings, Silent())):6.1f} s")
    print(f"start, warm:                      {_seconds(lambda: control.up(settings, Silent())):6.1f} s")
    running = RunningStack(settings, StackInfo.load(settings))
    print(f"memory, idle after the start:     {_memory_mb(running):6.0f} MB (sum of PSS)")
    print(f"processor, idle:                  {_idle_percent(running):6.1f} % of one core over 30 s")
    print(f"the first run after a start:      {_run(running, 'bench_first'):6.1f} s from trigger to success")
    taken = [_run(running, f"bench_{number}") for number in range(RUNS)]
    print(
        f"{PIPELINE}, warm, {RUNS} runs:     {statistics.median(taken):6.1f} s from trigger to success "
        f"(least {min(taken):.1f}, most {max(taken):.1f})"
    )
    print(f"memory after the runs:            {_memory_mb(running):6.0f} MB (sum of PSS)")
    for part in status(running.info):
        print(f"  {part.name:24} {(part.memory_bytes or 0) / 2**20:6.0f} MB")


def _seconds(action: object) -> float:
    started = time.monotonic()
    action()  # type: ignore[operator]
    return time.monotonic() - started


def _run(running: RunningStack, run_id: str) -> float:
    """From the moment the run is asked for to the moment it has succeeded, by Airflow's own clock."""
    asked = time.time()
    running.trigger(run_id)
    state = running.finished(run_id)
    run = running.airflow.dag_run(PIPELINE, run_id)
    if state != "success":
        raise SystemExit(f"{run_id} ended as {state}")
    return datetime.fromisoformat(run["end_date"].replace("Z", "+00:00")).timestamp() - asked


def _memory_mb(running: RunningStack) -> float:
    return sum(part.memory_bytes or 0 for part in status(running.info)) / 2**20


def _idle_percent(running: RunningStack) -> float:
    def used() -> float:
        total = 0.0
        for part in PART_NAMES:
            root = psutil.Process(running.pid(part))
            for process in [root, *root.children(recursive=True)]:
                try:
                    times = process.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
                except psutil.Error:
                    continue
        return total

    before, started = used(), time.monotonic()
    time.sleep(30)
    return (used() - before) / (time.monotonic() - started) * 100


if __name__ == "__main__":
    main()
