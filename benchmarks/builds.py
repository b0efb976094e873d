"""Measures this build beside an earlier one, in turns on one machine: `make bench`. Figures are printed, none asserted.

Both builds are used as their users do, through the command line and the HTTP APIs of their own stacks, so that any two
versions can be compared. `make bench` takes the earlier one from a commit (`BASE=...`) and sets it up in `build/`.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil

from infra.stack.processes import processes_of
from tests.support import PIPELINE, ROOT, clean_environ, port_settings, wait_for

ROWS = 1_000_000
AT_ONCE = 20
CANDIDATES = 32
CANDIDATE_VALUES = [round(0.01 * 1.35**power, 6) for power in range(CANDIDATES)]
_SEARCH = {"method": "grid", "metric": "roc_auc", "candidates": CANDIDATES}
BARS = {
    "a run of 1,000 rows, warm (s)": 0.45,
    "from the trigger to the champion served (s)": 0.4,
    "the first run after a start (s)": 0.5,
    f"a run of {ROWS:,} rows (s)": 0.2,
    "requests to MLflow in one run": 0.36,
    "idle memory, sum of PSS (MB)": 0.7,
    "idle processor (% of one core)": 0.33,
    "start, warm (s)": 0.65,
}
"""What share of the earlier build's figure this build may have."""


@dataclass
class Build:
    """A build: its folder, which has an environment of its own, and what was measured of it, by the figure's name."""

    label: str
    folder: Path
    home: Path
    ports: dict[str, str] = field(default_factory=port_settings)
    figures: dict[str, list[float]] = field(default_factory=dict)

    def cli(self, *arguments: str, **settings: str) -> str:
        """What a command of this build's prints; ends the benchmark where it fails."""
        done = subprocess.run(
            [str(self.folder / ".venv" / "bin" / "trackyard"), *arguments],
            env=clean_environ(self.home, **self.ports, **settings), cwd=self.folder, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{self.label}: trackyard {arguments[0]} failed: {done.stderr}")
        return done.stdout

    @cached_property
    def airflow(self) -> httpx.Client:
        """A client of its Airflow."""
        login = json.loads(self.cli("credentials", "--json"))["airflow"]
        account = {name: login[name] for name in ("username", "password")}
        token = httpx.post(f"{login['url']}/auth/token", json=account, timeout=60).json()["access_token"]
        return httpx.Client(
            base_url=f"{login['url']}/api/v2/dags/{PIPELINE}", headers={"Authorization": f"Bearer {token}"}, timeout=60
        )

    @contextmanager
    def up(self, **settings: str) -> Iterator[float]:
        """Has its stack up, and tells how long the start took, in seconds."""
        try:
            yield _seconds(lambda: self.cli("up", **settings))
        finally:
            self.__dict__.pop("airflow", None)
            self.cli("down")

    def note(self, figure: str, value: float) -> None:
        """Keeps a measured value, and shows it."""
        self.figures.setdefault(figure, []).append(value)
        print(f"  {self.label}: {figure}: {value:.1f}", flush=True)

    def trigger(self, run_id: str, **conf: Any) -> float:
        """Asks for a run, and returns the moment before that."""
        asked = time.time()
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        self.airflow.post("/dagRuns", json=body).raise_for_status()
        return asked

    def ended(self, run_id: str) -> float:
        """Waits for the success of a run, and returns the moment of it by Airflow's own clock."""

        def look() -> dict[str, Any] | None:
            run: dict[str, Any] = self.airflow.get(f"/dagRuns/{run_id}").json()
            return run if run["state"] in ("success", "failed") else None

        run = wait_for(look, f"run {run_id} to end", timeout_s=900, pause_s=0.5) or {}
        if run["state"] != "success":
            raise SystemExit(f"{self.label}: run {run_id} ended as {run['state']}")
        return datetime.fromisoformat(run["end_date"].replace("Z", "+00:00")).timestamp()

    def run(self, run_id: str, **conf: Any) -> float:
        """How long a run took from the trigger to its success, in seconds."""
        return -self.trigger(run_id, **conf) + self.ended(run_id)

    def served(self) -> str:
        """The version that the service answers with, or nothing."""
        with suppress(httpx.HTTPError):
            url = f"http://127.0.0.1:{self.ports['TRACKYARD_SERVING_PORT']}/status"
            return str(httpx.get(url, timeout=5).json()["model"]["version"] or "")
        return ""

    def requests(self) -> int:
        """How many requests MLflow's server has answered since it was started, by its log."""
        return len(re.findall(r'" \d{3}\b', (self.home / "logs" / "mlflow.log").read_text(errors="replace")))


def _seconds(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def small_runs(build: Build, round_number: int) -> None:
    """A start, the first run after it, and three warm ones: one for each of the figures."""
    with build.up() as taken:
        build.note("start, warm (s)", taken)
        build.note("the first run after a start (s)", build.run(f"first_{round_number}"))
        build.note("a run of 1,000 rows, warm (s)", build.run(f"warm_{round_number}"))
        before = build.served()
        asked = build.trigger(f"served_{round_number}")
        # A look that was not answered tells of no version.
        wait_for(lambda: build.served() not in ("", before), "the champion to be served", pause_s=0.05)
        build.note("from the trigger to the champion served (s)", time.time() - asked)
        build.ended(f"served_{round_number}")
        _requests(build, f"counted_{round_number}")


def _requests(build: Build, run_id: str) -> None:
    """The requests of one run: those of its time, less what an idle stack asks in as long a time."""
    time.sleep(3)
    idle_from, idle_count = time.time(), build.requests()
    time.sleep(20)
    idle_rate = (build.requests() - idle_count) / (time.time() - idle_from)
    began, count = time.time(), build.requests()
    build.run(run_id)
    build.note("requests to MLflow in one run", build.requests() - count - idle_rate * (time.time() - began))


def idle(build: Build, wait_s: float) -> None:
    """What an idle stack takes, a while after five runs, and a run of many rows."""
    with build.up():
        for number in range(5):
            build.run(f"before_idle_{number}")
        time.sleep(wait_s)
        used, began = _used(build), time.monotonic()
        time.sleep(wait_s)
        percent = (_used(build) - used) / (time.monotonic() - began) * 100
        build.note("idle processor (% of one core)", percent)
        build.note("idle memory, sum of PSS (MB)", sum(_each(build, _pss)) / 2**20)
        for number in range(3):
            build.note(f"a run of {ROWS:,} rows (s)", build.run(f"million_{number}", rows=ROWS))


def _each(build: Build, measure: Callable[[psutil.Process], float]) -> Iterator[float]:
    for process in processes_of(build.home):
        with suppress(psutil.Error):
            yield measure(process)


def _pss(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss)


def _used(build: Build) -> float:
    """The processor seconds of every process that there is, and of those that these had and that have ended."""
    return sum(_each(build, lambda process: sum(process.cpu_times()[:4])))


def many(build: Build) -> None:
    """Twenty runs asked for at once with two slots, and a search."""
    with build.up(TRACKYARD_WORKER_SLOTS="2"):
        build.run("warms_up")
        asked = time.time()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            names = [f"at_once_{number}" for number in range(AT_ONCE)]
            list(pool.map(build.trigger, names))
        ends = [build.ended(name) for name in names]
        build.note(f"{AT_ONCE} runs at once, 2 slots (runs a minute)", AT_ONCE / (max(ends) - asked) * 60)
        models = json.loads(build.cli("models", "--json"))
        kept = [one for one in models if one["dag_run_id"] in names]
        champions = [one for one in models if "champion" in one["aliases"]]
        print(f"  {build.label}: {len(kept)} versions of {AT_ONCE} runs, {len(champions)} champion", flush=True)
        tune = _SEARCH | {"parameters": {"model.parameters.C": CANDIDATE_VALUES}}
        # Of a model that has no champion: the best by one metric may be refused for another.
        taken = build.run("search", model_name="searched", config={"tune": tune})
        build.note(f"a search of {CANDIDATES} candidates (s)", taken)


def bare(name: str) -> float:
    """How long pandas and scikit-learn alone take for the same work, in seconds."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bare", name], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def table(this: Build, base: Build | None) -> str:
    """What was measured, as Markdown: medians, their ratio, and the bar where there is one."""
    lines = ["| | before | now | ratio | bar |", "|---|---|---|---|---|"]
    for figure, values in this.figures.items():
        now = statistics.median(values)
        then = statistics.median(base.figures[figure]) if base and figure in base.figures else None
        before, ratio = (f"{then:.1f}", f"{now / then:.2f}") if then else ("", "")
        lines.append(f"| {figure} | {before} | {now:.1f} | {ratio} | {BARS.get(figure, '')} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures this build, and beside it the one in the folder that was named, if one was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", nargs="?", type=Path, help="the folder of the earlier build, set up by 'make setup'")
    parser.add_argument("--rounds", type=int, default=5, help="how often each build is started for the small runs")
    parser.add_argument("--idle", type=float, default=300, help="seconds that an idle stack is waited for, and watched")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="trackyard-bench-") as directory:
        this = Build("this build", ROOT, Path(directory) / "this")
        base = Build("before", asked.base.resolve(), Path(directory) / "base") if asked.base else None
        builds = [each for each in (base, this) if each]
        for build in builds:
            # The first start of all makes databases and accounts.
            with build.up():
                build.run("makes_everything")
        for number in range(asked.rounds):
            for build in builds:
                small_runs(build, number)
        # What nobody had measured of an earlier build has no figure beside it. Before the large runs: after them the
        # gate refuses what learned from so few rows.
        many(this)
        for build in builds:
            idle(build, asked.idle)
    print(f"\n{table(this, base)}\n")
    for name, what in (("rows", f"{ROWS:,} rows"), ("search", f"a search of {CANDIDATES} candidates")):
        print(f"{what}, by pandas and scikit-learn alone: {bare(name):.1f} s")


if __name__ == "__main__":
    main()
