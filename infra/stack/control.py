"""The embedded stack as a whole: start it in order, look at it, stop it.

The command line calls this; nothing here prints.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.credentials import Credentials
from infra.settings import Settings
from infra.stack import doctor, ports
from infra.stack.info import StackInfo, status
from infra.stack.parts import PART_NAMES, PARTS
from infra.stack.plan import Plan
from infra.stack.preparation import StackError
from infra.stack.processes import end_processes
from infra.stack.startup import Report, Startup
from infra.stack.supervision import Supervisor
from ml.errors import Misconfigured

__all__ = ["down", "is_running", "status", "up", "wipe"]

_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# The state of a Trackyard stack.\n"
"""The mark that backup programs know (its first line), and that 'down --wipe' looks for (both)."""


def up(settings: Settings, report: Report, names: Sequence[str] = PART_NAMES) -> StackInfo:
    """Starts the named parts that do not run yet and waits until all of them do their job; other parts are left alone.

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
            end_processes(settings.home)
            _check_machine(settings)
            plan = Plan(settings, ports.choose(settings, report.say), credentials)
            _create_files(plan)
        parts = [part for part in PARTS if part.name in names]
        supervisor = Supervisor(plan)
        supervisor.start()
        try:
            Startup(plan, supervisor, report, parts).run()
        except BaseException:
            # What was up before this call stays up: only a start from nothing is taken back.
            if not was_running:
                supervisor.stop()
                end_processes(settings.home)
            raise
    return StackInfo(plan)


def down(settings: Settings, report: Report) -> None:
    """Stops every part and waits until no process of the stack is left."""
    if not settings.home.exists():
        return
    if settings.secrets_file.exists():
        report.say("stopping")
        Supervisor(Plan(settings, ports.remembered(settings), Credentials.load(settings.secrets_file))).stop()
    end_processes(settings.home)


def wipe(settings: Settings) -> None:
    """Deletes the state of a stopped stack: data, logs, secrets; `Misconfigured` where `up` did not make the folder."""
    if not settings.home.exists():
        return
    if not _is_ours(settings.home):
        raise Misconfigured(f"{settings.home} was not made by 'trackyard up': remove it by hand if you mean it")
    shutil.rmtree(settings.home)


def is_running(info: StackInfo) -> bool:
    """Tells whether the stack's process manager answers."""
    return Supervisor(info.plan).is_running()


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
    for check in (
        doctor.disk(settings, doctor.free_disk_mb(settings.home)),
        doctor.memory(settings, doctor.free_memory_mb()),
        doctor.configuration(settings),
    ):
        if check.state == doctor.WRONG:
            raise Misconfigured(f"{check.name}: {check.found}; {check.do}")


def _create_files(plan: Plan) -> None:
    try:
        plan.settings.log_dir.mkdir(mode=0o700, exist_ok=True)
        for part in PARTS:
            if part.files is not None:
                part.files(plan)
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
