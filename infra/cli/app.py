"""Puts the commands together into one Typer application. Effects: none; `infra.cli.main` runs it."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.commands import backups, checks, compare, gc, history, lineage, models, predict, run, runs, stack
from infra.cli.commands.tokens import tokens
from infra.cli.outcome import TrackyardGroup

app = typer.Typer(
    name="trackyard",
    cls=TrackyardGroup,
    help="Trackyard: train, track, promote and serve a classifier.",
    epilog="Exit codes: 0 ok, 1 it failed, 2 wrong input, 3 the stack or a server is away, 130 interrupted.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(help="Data sets in the bucket.", no_args_is_help=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"trackyard {version('trackyard')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    remote: Annotated[
        str,
        typer.Option(
            "--remote",
            metavar="URL",
            envvar="TRACKYARD_REMOTE",
            help="Airflow's address of a stack that runs elsewhere, in containers say.",
        ),
    ] = "",
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Trackyard: train, track, promote and serve a classifier."""
    context.obj.remote_url = remote
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for command in (
    stack.up, stack.down, run.run, stack.status, stack.credentials, runs.runs, runs.models, compare.compare,
    models.promote, models.rollback, predict.predict, checks.init, checks.init_env, stack.logs, checks.mail,
    checks.doctor, backups.backup, backups.restore, history.history, history.champion, lineage.lineage,
    lineage.reproduce, gc.gc,
):  # fmt: skip
    app.command()(command)
data.command("add")(run.data_add)
app.add_typer(data, name="data")
app.add_typer(tokens, name="token")
