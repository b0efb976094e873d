"""Starting the parts in order: each when what it needs is ready, with what is done before and after."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from infra.servers import postgres, tracking_server
from infra.stack import health
from infra.stack.parts import PARTS, Part, Plan
from infra.stack.supervision import Supervisor
from ml.errors import PipelineError

_GIVE_UP_AFTER_EXITS = 4


class StackError(PipelineError):
    """The stack could not be started.

    Args:
        message: One line: which part, and what happened.
        hint: Further lines: the last ones of its log, and the command that shows the rest.
    """

    def __init__(self, message: str, hint: list[str] | None = None) -> None:
        super().__init__(message)
        self.hint = hint or []


class Report(Protocol):
    """Who is told how the start goes."""

    def part(self, name: str, state: str, detail: str = "") -> None:
        """A part is now `waiting`, `starting`, `ready` or `failed`."""

    def say(self, text: str) -> None:
        """Something worth a line of its own."""


class Startup:
    """One start: each part is started once what it needs is ready, side by side where nothing forbids it."""

    def __init__(self, plan: Plan, supervisor: Supervisor, report: Report, names: Sequence[str]) -> None:
        self._parts = [part for part in PARTS if part.name in names]
        self._plan = plan
        self._supervisor = supervisor
        self._report = report
        self._deadline = time.monotonic() + plan.settings.start_timeout_s
        self._ready: set[str] = set()
        self._started: set[str] = set()
        self._exits: dict[str, int] = {}
        self._initialised: dict[Callable[[Plan, float], None], Future[None]] = {}
        self._reasons: dict[str, str] = {}

    def run(self) -> None:
        """Starts them all, and waits until each is ready; raises what keeps one from it."""
        for part in self._parts:
            self._report.part(part.name, "waiting")
        with ThreadPoolExecutor(len(PARTS)) as pool:
            while len(self._ready) < len(self._parts):
                for part in self._parts:
                    if part.name not in self._started and self._may_start(part, pool):
                        self._supervisor.start_part(part.name)
                        self._started.add(part.name)
                        self._report.part(part.name, "starting")
                pending = [part for part in self._parts if part.name in self._started - self._ready]
                for part, reason in zip(pending, pool.map(self._probe, pending), strict=True):
                    self._note(part, reason)
                time.sleep(0.2)
            for job in self._initialised.values():
                job.result()

    def _may_start(self, part: Part, pool: ThreadPoolExecutor) -> bool:
        if not set(part.after) <= self._ready:
            return False
        job = _BEFORE.get(part.name)
        if job is None:
            return True
        if job not in self._initialised:
            self._initialised[job] = pool.submit(job, self._plan, max(self._deadline - time.monotonic(), 1))
        if not self._initialised[job].done():
            self._check_deadline(part.name, "its database is being set up")
            return False
        self._initialised[job].result()
        return True

    def _probe(self, part: Part) -> str | None:
        try:
            health.check(self._plan, part.name, at_start=True)
        except health.NotReady as error:
            return str(error)
        after = _AFTER.get(part.name)
        if after is not None:
            after(self._plan)
        return None

    def _note(self, part: Part, reason: str | None) -> None:
        if reason is None:
            self._ready.add(part.name)
            self._report.part(part.name, "ready", self._plan.url(part.url) if part.url else "")
            return
        info = self._supervisor.info(part.name)
        if info["statename"] in ("BACKOFF", "EXITED", "FATAL"):
            # supervisor counts a failed try once per state change, which its clock tells apart.
            key = f"{part.name}@{info['stop']}"
            if key not in self._reasons:
                self._reasons[key] = reason
                self._exits[part.name] = self._exits.get(part.name, 0) + 1
            if self._exits[part.name] >= _GIVE_UP_AFTER_EXITS or info["statename"] == "FATAL":
                self._fail(part.name, f"it ended at once, {self._exits[part.name]} times")
        self._check_deadline(part.name, reason)

    def _check_deadline(self, name: str, reason: str) -> None:
        if time.monotonic() > self._deadline:
            self._fail(name, f"not ready after {self._plan.settings.start_timeout_s} s: {reason}")

    def _fail(self, name: str, why: str) -> None:
        self._report.part(name, "failed", why)
        log = self._plan.settings.log_dir / f"{name}.log"
        hint = [f"  {line}" for line in _last_lines(log, 8)]
        raise StackError(f"{name} did not start: {why}", [*hint, f"'trackyard logs {name}' shows the rest ({log})"])


def _create_databases(plan: Plan) -> None:
    postgres.create_databases(plan.ports["postgres"], plan.credentials)


def _init_airflow(plan: Plan, timeout_s: float) -> None:
    log = plan.settings.log_dir / "airflow-init.log"
    env = {**os.environ, "TRACKYARD_HOME": str(plan.home)}
    try:
        with log.open("w") as output:
            code = subprocess.run(
                plan.python("infra.stack.launch", "airflow-init"),
                cwd=plan.settings.root, env=env, stdout=output, stderr=subprocess.STDOUT, check=False,
                # Without it, a start that has given up would wait here for as long as the set-up likes.
                timeout=timeout_s,
            ).returncode  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StackError(
            f"Airflow's database was not set up within {plan.settings.start_timeout_s} s: "
            "raise TRACKYARD_START_TIMEOUT_S",
            [f"  {line}" for line in _last_lines(log, 8)],
        ) from error
    if code != 0:
        raise StackError("Airflow's database could not be set up", [f"  {line}" for line in _last_lines(log, 8)])


def _init_mlflow(plan: Plan, timeout_s: float) -> None:
    """Brings MLflow's database up once after an upgrade: its server refuses to start on an older one."""
    database = postgres.url(plan.ports["postgres"], "mlflow", plan.credentials)
    tracking_server.migrate(plan.home / "mlflow" / "migrated", database)


_BEFORE: dict[str, Callable[[Plan, float], None]] = {
    "mlflow": _init_mlflow,
    "airflow-api-server": _init_airflow,
    "airflow-scheduler": _init_airflow,
    "airflow-dag-processor": _init_airflow,
    "airflow-triggerer": _init_airflow,
}


def _after_mlflow(plan: Plan) -> None:
    tracking_server.create_accounts(plan.ports["mlflow"], plan.credentials)
    tracking_server.create_webhook(plan.ports["mlflow"], plan.url("serving"), plan.credentials)


_AFTER: dict[str, Callable[[Plan], None]] = {
    "postgres": _create_databases,
    "mlflow": _after_mlflow,
}


def _last_lines(log: Path, count: int) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return []
