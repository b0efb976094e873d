"""Starting the parts in order: each when what it needs is ready, with what is done before it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from infra.stack.health import NotReady
from infra.stack.parts import Part
from infra.stack.plan import Plan
from infra.stack.preparation import StackError, last_lines
from infra.stack.supervision import Supervisor

_GIVE_UP_AFTER_EXITS = 4


class Report(Protocol):
    """Who is told how the start goes."""

    def part(self, name: str, state: str, detail: str = "") -> None:
        """A part is now `waiting`, `starting`, `ready` or `failed`."""

    def say(self, text: str) -> None:
        """Something worth a line of its own."""


class Startup:
    """One start: each part is started once what it needs is ready, side by side where nothing forbids it."""

    def __init__(self, plan: Plan, supervisor: Supervisor, report: Report, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._plan = plan
        self._supervisor = supervisor
        self._report = report
        self._deadline = time.monotonic() + plan.settings.start_timeout_s
        self._ready: set[str] = set()
        self._started: set[str] = set()
        # The moments at which a part ended: supervisor tells of one exit for as long as its state stays the same.
        self._exits: dict[str, set[int]] = defaultdict(set)
        self._jobs: dict[Callable[[Plan, float], None], Future[None]] = {}
        self._looks: dict[str, Future[str | None]] = {}

    def run(self) -> None:
        """Starts them all, and waits until each is ready; raises what keeps one from it."""
        for part in self._parts:
            self._report.part(part.name, "waiting")
        with ThreadPoolExecutor(len(self._parts)) as pool:
            while len(self._ready) < len(self._parts):
                for part in self._parts:
                    if part.name not in self._started and self._may_start(part, pool):
                        self._supervisor.start_part(part.name)
                        self._started.add(part.name)
                        self._report.part(part.name, "starting")
                infos = self._supervisor.infos()
                for part in self._parts:
                    if part.name in self._started - self._ready:
                        self._look_at(part, infos[part.name], pool)
                time.sleep(0.2)

    def _may_start(self, part: Part, pool: ThreadPoolExecutor) -> bool:
        if not set(part.needs) <= self._ready:
            return False
        if part.before is None:
            return True
        if part.before not in self._jobs:
            self._jobs[part.before] = pool.submit(part.before, self._plan, max(self._deadline - time.monotonic(), 1))
        job = self._jobs[part.before]
        if not job.done():
            self._check_deadline(part.name, "its database is being set up")
            return False
        job.result()
        return True

    def _look_at(self, part: Part, info: Mapping[str, Any], pool: ThreadPoolExecutor) -> None:
        """Notes what the last look at a part saw, and looks again, without waiting: one that hangs delays no other."""
        look = self._looks.get(part.name)
        if look is not None and look.done():
            self._note(part, info, look.result())
        if part.name not in self._ready and (look is None or look.done()):
            self._looks[part.name] = pool.submit(self._probe, part)

    def _probe(self, part: Part) -> str | None:
        try:
            part.look(self._plan, at_start=True)
        except NotReady as error:
            return str(error)
        return None

    def _note(self, part: Part, info: Mapping[str, Any], reason: str | None) -> None:
        if reason is None:
            self._ready.add(part.name)
            self._report.part(part.name, "ready", self._plan.url(part.url) if part.url else "")
            return
        if info["statename"] in ("BACKOFF", "EXITED", "FATAL"):
            exits = self._exits[part.name]
            exits.add(info["stop"])
            if len(exits) >= _GIVE_UP_AFTER_EXITS or info["statename"] == "FATAL":
                self._fail(part.name, f"it ended at once, {len(exits)} times")
        self._check_deadline(part.name, reason)

    def _check_deadline(self, name: str, reason: str) -> None:
        if time.monotonic() > self._deadline:
            self._fail(name, f"not ready after {self._plan.settings.start_timeout_s} s: {reason}")

    def _fail(self, name: str, why: str) -> None:
        self._report.part(name, "failed", why)
        log = self._plan.settings.log_dir / f"{name}.log"
        hint = [*last_lines(log), f"'trackyard logs {name}' shows the rest ({log})"]
        raise StackError(f"{name} did not start: {why}", hint)
