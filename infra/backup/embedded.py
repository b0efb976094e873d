"""The embedded stack's servers for a backup or a restore: what runs goes on, what does not is started for a while."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from infra.backup.backup import backup, refuse_place
from infra.backup.restore import Doors, restore, vetted
from infra.backup.target import TOKENS, Target
from infra.credentials import Credentials
from infra.settings import Settings
from infra.stack import control
from infra.stack.info import StackInfo
from infra.stack.parts import PART_NAMES
from infra.stack.plan import Plan
from infra.stack.supervision import Supervisor

STORES = ("postgres", "s3")
"""The parts that a backup is made of."""


@dataclass
class _Quiet:
    """Listens to a start and passes on what is worth a line."""

    say: Callable[[str], None]

    def part(self, name: str, state: str, detail: str = "") -> None:
        """One part's progress, which here nobody waits for."""


def _is_running(settings: Settings) -> bool:
    if not settings.ports_file.exists() or not settings.secrets_file.exists():
        return False
    supervisor = Supervisor(StackInfo.load(settings).plan)
    # What a restore that was killed left is no running stack: it had only the stores.
    return supervisor.is_running() and supervisor.info("airflow-scheduler")["pid"] != 0


@dataclass
class _Stores:
    """The stack while its stores are up, and whether the other parts were stopped meanwhile."""

    plan: Plan
    others_stopped: bool = False


@contextmanager
def _stores(settings: Settings, say: Callable[[str], None]) -> Iterator[_Stores]:
    """The stack with at least its stores up; afterwards it is running or stopped, as it was before."""
    was_running = _is_running(settings)
    opened = _Stores(control.up(settings, _Quiet(say), STORES).plan)
    try:
        yield opened
    finally:
        if not was_running:
            control.down(settings, _Quiet(lambda text: None))
        elif opened.others_stopped:
            say("starting what was stopped")
            control.up(settings, _Quiet(say))


def _forget_versions(folder: Path) -> None:
    """Deletes what the service keeps of the old state: its copies of versions and what it knows of runs.

    Its tokens stay: they are no part of that state, and whoever has one goes on asking.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif TOKENS not in path.name:
            path.unlink(missing_ok=True)


def backup_stack(
    settings: Settings, file: Path, say: Callable[[str], None], *, force: bool = False, passphrase: str = ""
) -> None:
    """Backs the embedded stack up; see `infra.backup.backup.backup`."""
    refuse_place(file, force=force)
    with _stores(settings, say) as opened:
        backup(Target.of_plan(opened.plan, passphrase), file, say, force=force)


def restore_stack(settings: Settings, file: Path, doors: Doors, passphrase: str = "") -> None:
    """Restores the embedded stack, which is set up first where there is none; see `infra.backup.restore.restore`."""
    # A file that is no good should not cost the start of a server, nor leave a home that it made.
    is_set_up = settings.secrets_file.exists()
    secret = Credentials.load(settings.secrets_file).s3_secret_key if is_set_up else ""
    vetted(file, secret, passphrase, trust=doors.trust)
    with _stores(settings, doors.say) as opened:
        plan = opened.plan

        def stop_users() -> None:
            doors.say("stopping what uses the databases")
            opened.others_stopped = True
            Supervisor(plan).stop_parts([name for name in PART_NAMES if name not in STORES])
            # The next start looks at the accounts again, and the service asks which version is champion.
            (plan.home / "airflow" / "initialised").unlink(missing_ok=True)
            _forget_versions(plan.home / "serving")

        restore(Target.of_plan(plan, passphrase), file, replace(doors, stop_users=stop_users))
        # Messages about the tasks of the state that is gone.
        shutil.rmtree(plan.home / "redis" / "appendonlydir", ignore_errors=True)
