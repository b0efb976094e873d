"""The commands about the stack as a whole: up, down, status, credentials, logs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.errors import CommandFailed, StackNotUp
from infra.cli.following import ENDED_RUN
from infra.cli.options import DAG_ID, Json
from infra.cli.output import local_time, mebibytes, say, seconds, show_json, show_table
from infra.cli.progress import Board, StartReport
from infra.cli.records import run_summary
from infra.cli.session import Session
from ml.errors import BadInput, Misconfigured, PipelineError

if TYPE_CHECKING:
    from rich.console import Console

    from infra.stack.info import PartStatus
    from serving.upstream.airflow import AirflowClient

OTHER_LOGS = ("supervisord", "airflow-init")


def up(context: typer.Context) -> None:
    """Start the stack, wait until every part does its job, and print where it is.

    Starting a stack that runs changes nothing. 'trackyard credentials' shows the passwords.
    """
    session: Session = context.obj
    session.refuse_remote("up", "'docker compose up -d --wait' starts the one in containers")
    settings = session.settings()
    begin = session.clock()
    with Board(session.out) as board:
        info = session.control().up(settings, StartReport(board))
    say(session.out, f"the stack is up after {seconds(session.clock() - begin)}")
    users = {name: login["username"] for name, login in info.logins().items() if name != "s3"}
    rows = [[name, url, users.get(name, "-")] for name, url in info.urls.items()]
    show_table(session.out, ["part", "url", "user"], rows)
    say(session.out, "passwords and keys: trackyard credentials")


def down(
    context: typer.Context,
    wipe: Annotated[bool, typer.Option("--wipe", help="Also delete all state: runs, models, mail, secrets.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")] = False,
) -> None:
    """Stop every part of the stack; with --wipe, delete its state too."""
    session: Session = context.obj
    session.refuse_remote("down", "'docker compose down' stops the one in containers")
    settings = session.settings()
    if wipe and settings.home.exists() and not yes:
        session.agree("--wipe asks before it deletes", f"Delete every run, model, mail and secret in {settings.home}?")
    with session.out.status("each part ends its work") if session.out.is_terminal else nullcontext():
        session.control().down(settings, StartReport(Board(session.out)))
    say(session.out, "the stack is stopped")
    if wipe:
        session.control().wipe(settings)
        say(session.out, f"{settings.home} is deleted")


def status(context: typer.Context, as_json: Json = False) -> None:
    """Show every part's health, URL, process and memory, the last and running DAG runs, and the live model.

    Exits with 1 when a part is not ready, and with 3 when the stack does not run.
    """
    session: Session = context.obj
    remote = session.remote()
    pipeline: dict[str, Any] = {"last_run": None, "running": []}
    model: dict[str, Any] | None = None
    try:
        info = remote or session.known_stack()
    except StackNotUp:
        if as_json:
            show_json(session.out, {"parts": [], "pipeline": pipeline, "model": model})
        raise
    is_running = session.is_running(info)
    if is_running:
        session.enter(info)
        pipeline = _pipeline(session.airflow(info))
        model = session.live_model(info) or None
    parts = session.status(info)
    if as_json:
        show_json(session.out, {"parts": [asdict(part) for part in parts], "pipeline": pipeline, "model": model})
    else:
        _show_status(session.out, parts, pipeline, model)
    if not is_running:
        raise StackNotUp
    failed = [part.name for part in parts if part.state != "ready"]
    if failed:
        command = "docker compose logs PART" if remote else "trackyard logs PART"
        raise CommandFailed(f"not ready: {', '.join(failed)} ('{command}' shows why)")


def _show_status(
    out: Console, parts: Sequence[PartStatus], pipeline: dict[str, Any], model: dict[str, Any] | None
) -> None:
    rows = [
        [part.name, part.state, part.url or "-", str(part.pid or "-"), mebibytes(part.memory_bytes), part.detail]
        for part in parts
    ]
    show_table(out, ["part", "state", "url", "pid", "memory", "detail"], rows)
    memory = sum(part.memory_bytes or 0 for part in parts)
    if memory:
        say(out, f"memory in all: {mebibytes(memory)}")
    last = pipeline["last_run"]
    if last:
        took = f", {seconds(last['duration_s'])}" if last["duration_s"] is not None else ""
        say(out, f"last run: {last['dag_run_id']} {last['state']}{took}, {local_time(last['started_at'])}")
    for run in pipeline["running"]:
        say(out, f"running: {run['dag_run_id']} since {local_time(run['started_at'])}")
    if model and model.get("version"):
        say(out, f"live model: {model['name']} version {model['version']}")
    elif parts:
        say(out, "live model: none")


def _pipeline(airflow: AirflowClient) -> dict[str, Any]:
    try:
        runs = [run_summary(run) for run in airflow.dag_runs(DAG_ID, limit=20)]
    except PipelineError as error:
        return {"last_run": None, "running": [], "error": str(error)}
    ended = [run for run in runs if run["state"] in ENDED_RUN]
    return {"last_run": ended[0] if ended else None, "running": [run for run in runs if run not in ended]}


def credentials(context: typer.Context, as_json: Json = False) -> None:
    """Show the logins of Airflow, MLflow, Flower and S3. The only command that shows a secret."""
    session: Session = context.obj
    logins = (session.remote() or session.known_stack()).logins()
    if as_json:
        show_json(session.out, logins)
        return
    rows = [[name, login["url"], login["username"], login["password"]] for name, login in logins.items()]
    show_table(session.out, ["server", "url", "username", "password"], rows)


def logs(
    context: typer.Context,
    part: Annotated[str, typer.Argument(help="A part, as 'trackyard status' names it.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines to begin with.")] = 50,
) -> None:
    """Show the log of one part."""
    from infra.cli.log_tail import last_lines, new_lines
    from infra.stack.parts import PART_NAMES

    session: Session = context.obj
    session.refuse_remote("logs", f"'docker compose logs {part}' shows those of containers")
    known = (*PART_NAMES, *OTHER_LOGS)
    if part not in known:
        near = difflib.get_close_matches(part, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise BadInput(f"no part is called {part!r}: {hint}")
    path = session.known_stack().log_file(part)
    try:
        for line in last_lines(path, lines):
            say(session.out, line)
    except FileNotFoundError:
        raise BadInput(f"{part} has no log yet ({path}): 'trackyard up' starts it") from None
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}") from error
    if follow:
        for line in new_lines(path, lambda: session.sleep(0.25)):
            say(session.out, line)
