"""The commands that keep a stack safe: backup and restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.output import say
from infra.cli.session import Session

_ELSEWHERE = "TRACKYARD_BACKUP_DATABASE_URL"


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to make.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write the databases and buckets to one file. The stack may go on working meanwhile, or be stopped.

    Whoever has the file has what the stack has: keep it as you keep its secrets.
    """
    from infra.backup.backup import backup as make
    from infra.backup.embedded import backup_stack
    from infra.backup.target import Target

    session: Session = context.obj
    settings = session.settings()
    file = file.expanduser().absolute()
    if session.environ.get(_ELSEWHERE):
        make(Target.from_env(session.environ), file, lambda text: say(session.out, text), force=force)
        return
    session.known_stack()
    backup_stack(settings, file, lambda text: say(session.out, text), force=force, passphrase=_passphrase(session))


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that 'trackyard backup' made.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what a stack holds that is not empty.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before replacing.")] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Restore a file whose seal cannot be checked here.")] = False,
) -> None:
    """Put the databases and buckets of a backup into this stack, which is set up first where there is none.

    Nothing changes before the whole file was checked and filled in beside what is there. What is in a backup will run
    in the stack: restore none that somebody else could have changed.
    """
    from infra.backup.embedded import restore_stack
    from infra.backup.restore import Doors
    from infra.backup.restore import restore as put_back
    from infra.backup.target import Target

    session: Session = context.obj
    settings = session.settings()
    file = file.expanduser().absolute()
    doors = Doors(
        say=lambda text: say(session.out, text),
        trust=trust,
        may_replace=lambda there: force and _agreed(session, there, yes),
        sleep=session.sleep,
    )
    if session.environ.get(_ELSEWHERE):
        put_back(Target.from_env(session.environ), file, doors)
    else:
        restore_stack(settings, file, doors, _passphrase(session))
    say(session.out, "the backup is restored")


def _agreed(session: Session, there: str, yes: bool) -> bool:
    if not yes:
        session.agree("--force asks before it replaces", f"Replace what the stack holds ({there}) by the backup?")
    return True


def _passphrase(session: Session) -> str:
    return session.environ.get("TRACKYARD_BACKUP_PASSPHRASE", "")
