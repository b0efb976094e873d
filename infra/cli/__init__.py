"""The command line `trackyard`: the entry point `main`. Importing it loads Typer and nothing of the stack."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs one command of the shell's arguments and ends the process with its exit code."""
    from infra.cli.app import app

    app(sys.argv[1:], prog_name="trackyard")
