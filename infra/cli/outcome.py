"""How a command ends: its exit code, and the one line on stderr that says why. Pure but for `TrackyardGroup`.

Every command raises; only this module turns an error into a line and a number.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from infra.cli.session import Session
from ml.errors import BadInput, Misconfigured, PipelineError, Unavailable, one_line

OK = 0
FAILED = 1
USAGE = 2
NOT_UP = 3
INTERRUPTED = 130


def exit_code_of(error: BaseException) -> int:
    """The exit code of an error, by what cures it: 2 other input, 3 a server that comes up, 1 anything else."""
    if isinstance(error, (BadInput, Misconfigured)):
        return USAGE
    if isinstance(error, Unavailable):
        return NOT_UP
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return FAILED


def lines_of(error: BaseException) -> list[str]:
    """What people read about an error: one line, and below it the hints that it carries."""
    text = one_line(error, limit=None)
    if not isinstance(error, PipelineError):
        return [f"unexpected {type(error).__name__}: {text} ('trackyard --debug ...' shows where)"]
    return [text, *getattr(error, "hint", [])]


class TrackyardGroup(TyperGroup):
    """The group of all commands, and the edge at which every error becomes a line on stderr and an exit code."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        """Runs one command and ends the process with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        session: Session = extra.setdefault("obj", Session())
        session.attach(sys.stdout, sys.stderr)
        # People add --debug where they are: behind the command that failed.
        session.debug = session.debug or "--debug" in given
        arguments = [argument for argument in given if argument != "--debug"]
        try:
            code = super().main(arguments, *more, **{**extra, "prog_name": "trackyard", "standalone_mode": False})
        except TyperException as error:
            session.complain([f"{error.format_message()} ('{_help_command(error)} --help' shows how)"])
            sys.exit(error.exit_code)
        except typer.Abort:
            session.complain(["nothing was done"])
            sys.exit(FAILED)
        sys.exit(code if isinstance(code, int) else OK)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was named; whatever it raises on purpose ends here."""
        session: Session = ctx.obj
        try:
            return super().invoke(ctx)
        except (TyperException, typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt as error:
            session.complain(["interrupted"])
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            if session.debug:
                session.errors.print_exception(show_locals=False)
            session.complain(lines_of(error))
            raise typer.Exit(exit_code_of(error)) from error


def _help_command(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "trackyard"
