"""The embedded stack as a whole: start it in order, look at it, stop it.

The command line calls this; nothing here prints.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from infra.credentials import Credentials
from infra.servers import airflow_server, object_store, postgres, redis_server, tracking_server
from infra.settings import Settings
from infra.stack import health, parts, ports
from infra.stack.parts import PART_NAMES, PARTS, Part, Plan
from infra.stack.processes import end_processes, processes_of
from infra.stack.supervision import Supervisor
from ml.errors import Misconfigured, PipelineError

__all__ = ["PART_NAMES", "PartStatus", "Report", "StackError", "StackInfo", "down", "status", "up", "wipe"]

_GIVE_UP_AFTER_EXITS = 4
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# The state of a Trackyard stack.\n"
"""The mark that backup programs know (its first line), and that 'down --wipe' looks for (both)."""


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


@dataclass(frozen=True)
class StackInfo:
    """Where a stack that was set up is to be found, and how to log in."""

    plan: Plan

    @classmethod
    def load(cls, settings: Settings) -> StackInfo:
        """Reads what `up` wrote.

        Raises:
            Misconfigured: Nothing is set up in the settings' home.
        """
        known = ports.remembered(settings)
        if not known or not settings.secrets_file.exists():
            raise Misconfigured(f"nothing is set up in {settings.home}: run 'trackyard up'")
        return cls(Plan(settings, known, Credentials.load(settings.secrets_file)))

    @property
    def settings(self) -> Settings:
        """The settings it was loaded with."""
        return self.plan.settings

    @property
    def ports(self) -> dict[str, int]:
        """The port of every part."""
        return dict(self.plan.ports)

    @property
    def urls(self) -> dict[str, str]:
        """The address of every part that speaks HTTP: airflow, mlflow, serving, flower, s3."""
        return {part.url: self.plan.url(part.url) for part in PARTS if part.url}

    @property
    def api_urls(self) -> dict[str, str]:
        """The addresses from here: the same, on one machine."""
        return self.urls

    def check_store(self) -> None:
        """Nothing: the data bucket of a stack on this machine can be reached."""

    @property
    def mail_dir(self) -> Path:
        """The Maildir with the mail that was sent."""
        return self.settings.mail_dir

    def logins(self) -> dict[str, dict[str, str]]:
        """The logins for people: url, username and password of airflow, mlflow, flower and s3."""
        secret = self.plan.credentials
        accounts = {
            "airflow": (airflow_server.ADMIN, secret.airflow_admin_password),
            "mlflow": (tracking_server.ADMIN, secret.mlflow_admin_password),
            "flower": (parts.FLOWER_USER, secret.flower_password),
            "s3": (secret.s3_access_key, secret.s3_secret_key),
        }
        return {
            name: {"url": self.urls[name], "username": username, "password": password}
            for name, (username, password) in accounts.items()
        }

    def client_environ(self) -> dict[str, str]:
        """The variables with which MLflow's client, boto3 and `ml` reach this stack, as its administrator."""
        return self.plan.task_env()

    def log_file(self, part: str) -> Path:
        """The log of a part; rotated ones end in .1, .2, .3."""
        return self.settings.log_dir / f"{part}.log"


@dataclass(frozen=True)
class PartStatus:
    """How one part is: `state` is ready, starting, stopped or failed; memory in bytes, with its child processes."""

    name: str
    state: str
    detail: str
    url: str | None
    pid: int | None
    memory_bytes: int | None


def up(settings: Settings, report: Report, names: Sequence[str] = PART_NAMES) -> StackInfo:
    """Starts whatever does not run yet and waits until all of it does its job. Calling it again changes nothing.

    Args:
        settings: The stack's settings.
        report: Is told how it goes.
        names: The parts to start; what else runs is left alone.

    Raises:
        StackError: A part did not become ready; it is named, and what this call started is stopped again.
        Misconfigured: A setting, a port or the machine does not allow a start.
    """
    _make_home(settings)
    with _only_one(settings, report):
        credentials = Credentials.load_or_create(settings.secrets_file)
        plan = Plan(settings, ports.remembered(settings), credentials)
        was_running = bool(plan.ports) and Supervisor(plan).is_running()
        if not was_running:
            end_processes(processes_of(settings.home))
            _check_machine(settings)
            plan = Plan(settings, ports.choose(settings, report.say), credentials)
            _create_files(plan)
        supervisor = Supervisor(plan)
        supervisor.start()
        try:
            _Start(plan, supervisor, report, names).run()
        except BaseException:
            # What was up before this call stays up: only a start from nothing is taken back.
            if not was_running:
                supervisor.stop()
                end_processes(processes_of(settings.home))
            raise
    return StackInfo(plan)


def down(settings: Settings, report: Report) -> None:
    """Stops every part and waits until no process of the stack is left."""
    if not settings.home.exists():
        return
    if settings.secrets_file.exists():
        report.say("stopping")
        Supervisor(Plan(settings, ports.remembered(settings), Credentials.load(settings.secrets_file))).stop()
    end_processes(processes_of(settings.home))


def wipe(settings: Settings) -> None:
    """Deletes the state of a stopped stack: data, logs and secrets.

    Raises:
        Misconfigured: The folder is not one that `up` made.
    """
    if not settings.home.exists():
        return
    if not _is_ours(settings.home):
        raise Misconfigured(f"{settings.home} was not made by 'trackyard up': remove it by hand if you mean it")
    shutil.rmtree(settings.home)


def status(info: StackInfo) -> list[PartStatus]:
    """Looks at every part now; takes at most a few seconds, also when some do not answer."""
    supervisor = Supervisor(info.plan)
    known = supervisor.infos() if supervisor.is_running() else {}
    with ThreadPoolExecutor(len(PARTS)) as pool:
        return list(pool.map(lambda part: _status_of(info.plan, part, known.get(part.name)), PARTS))


def _status_of(plan: Plan, part: Part, known: dict[str, Any] | None) -> PartStatus:
    url = plan.url(part.url) if part.url else None
    if known is None or known["statename"] in ("STOPPED", "EXITED", "FATAL", "STOPPING"):
        return PartStatus(part.name, "stopped", "not running", url, None, None)
    pid = known["pid"] or None
    memory = _memory(pid) if pid else None
    try:
        return PartStatus(part.name, "ready", health.check(plan, part.name), url, pid, memory)
    except health.NotReady as error:
        state = "failed" if known["statename"] == "BACKOFF" else "starting"
        return PartStatus(part.name, state, str(error), url, pid, memory)


def _memory(pid: int) -> int | None:
    """The proportional memory of a process and its children, in bytes: shared pages are counted once in all."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
    except psutil.Error:
        return total or None
    return total


class _Start:
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


def _make_home(settings: Settings) -> None:
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(settings.home):
            if any(settings.home.iterdir()):
                raise Misconfigured(f"{settings.home} holds files of something else: choose another TRACKYARD_HOME")
            (settings.home / "CACHEDIR.TAG").write_text(_TAG)
    except OSError as error:
        raise Misconfigured(f"{settings.home} cannot be used ({error.strerror}): set TRACKYARD_HOME") from error


def _is_ours(home: Path) -> bool:
    """Whether a folder has the mark of a Trackyard home; other programs mark their caches with the same file."""
    try:
        return (home / "CACHEDIR.TAG").read_text(errors="replace") == _TAG
    except FileNotFoundError:
        return False


def _check_machine(settings: Settings) -> None:
    free_mb = shutil.disk_usage(settings.home).free // 2**20
    if free_mb < settings.min_disk_mb:
        raise Misconfigured(
            f"{settings.home} has {free_mb} MB of disk left and the stack needs {settings.min_disk_mb}: "
            "free some, or set TRACKYARD_HOME to a folder on another disk"
        )
    memory_mb = psutil.virtual_memory().available // 2**20
    if memory_mb < settings.min_memory_mb:
        raise Misconfigured(
            f"{memory_mb} MB of memory are free and the stack needs {settings.min_memory_mb}: "
            "end other programs, or lower TRACKYARD_MIN_MEMORY_MB if you know better"
        )


def _create_files(plan: Plan) -> None:
    try:
        for folder in (plan.home / "airflow", plan.home / "serving", plan.settings.log_dir):
            folder.mkdir(mode=0o700, exist_ok=True)
        postgres.create(plan.home / "postgres", plan.credentials)
        redis_server.create(plan.home / "redis", plan.ports["redis"], plan.credentials)
        object_store.create(plan.home / "s3", plan.credentials)
        tracking_server.create(plan.home / "mlflow", plan.ports, plan.credentials)
    except OSError as error:
        raise StackError(f"the stack's files could not be written to {plan.home}: {error.strerror}") from error


@contextmanager
def _only_one(settings: Settings, report: Report) -> Iterator[None]:
    """Lets one `up` work at a time; a second one waits for it and then finds everything running."""
    import fcntl

    with (settings.home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.say("another 'trackyard up' is at work on this stack: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
