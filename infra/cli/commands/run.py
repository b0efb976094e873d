"""The commands that start the pipeline: run, data add."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli import run_result
from infra.cli.errors import CommandFailed
from infra.cli.following import RunView, follow, trigger_once
from infra.cli.options import DAG_ID, Assignments, ConfigFile, DataFile, DataSource, Json
from infra.cli.output import say, show_json
from infra.cli.progress import Board, show_run
from infra.cli.records import Record
from infra.cli.session import Session
from ml.data.folders import files_of, put_folder
from ml.data.sources import refuse, refuse_default
from ml.errors import AirflowDown, BadInput, StoreDown
from ml.settings import allowed_sources

if TYPE_CHECKING:
    from infra.cli.clients import AnyStack
    from ml.config.schema import PipelineConfig
    from serving.upstream.airflow import AirflowClient

_DAG_WAIT_S = 60.0


def run(
    context: typer.Context,
    data: DataSource = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    rows: Annotated[int | None, typer.Option("--rows", help="How many rows to generate, without --data.")] = None,
    note: Annotated[str, typer.Option("--note", help="Kept with the run.")] = "",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not follow the run.")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Follow for so many seconds at most.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the pipeline, follow it task by task, and print its metrics, version and links.

    Exits with 0 only if the run succeeded. Ctrl-C ends the following; the run goes on.
    """
    session: Session = context.obj
    settled = _settle_config(session, config, assignments or [], rows, data)
    # Without --data and without an address, the file that the configuration names.
    named = data if data is not None or settled.data.uri else settled.data.file
    local = local_source(named, settled.data.max_bytes)
    if local is None and not settled.data.uri:
        refuse_default(settled)
    info = session.running_stack()
    airflow = session.airflow(info)
    _make_dag_ready(session, airflow, quiet=as_json)
    uri = settled.data.uri if local is None else upload(session, info, local)
    if local is None and uri:
        _refuse_address(session, info, uri)
    run_id = new_run_id(session.now(), secrets.token_hex(2))
    with _telling_that_it_goes_on(session, info, run_id):
        trigger_once(airflow, (DAG_ID, run_id), _conf_of(settled, uri, note), session)
        if no_wait:
            _say_triggered(session, info, run_id, as_json=as_json)
            return
        view = _follow(session, airflow, run_id, timeout, quiet=as_json)
    run_result.report(session, info, view, airflow, as_json=as_json)


@contextmanager
def _telling_that_it_goes_on(session: Session, info: AnyStack, run_id: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        say(session.errors, f"interrupted: {run_id} goes on ('trackyard runs' lists it)")
        say(session.errors, run_result.airflow_link(info.urls["airflow"], run_id))
        raise typer.Exit(130) from error
    except AirflowDown as error:
        raise AirflowDown(f"{error}; {run_id} goes on if it was triggered ('trackyard runs' lists it)") from error


def _settle_config(
    session: Session, file: Path | None, assignments: list[str], rows: int | None, data: str | None
) -> PipelineConfig:
    """The configuration of a run: the file, then `--set`, then `--rows` and an address given as `--data`."""
    from ml.config.loading import load_config, parse_assignments, resolve

    if data is not None and not data.strip():
        raise BadInput("--data is empty: name a file, a folder or an address, or leave --data out")
    base = load_config(file) if file else session.pipeline_config()
    settled = resolve(base, parse_assignments(assignments), "--set")
    beside = file or session.settings().pipeline_file
    if settled.data.file and beside:
        path = beside.parent / Path(settled.data.file).expanduser()
        settled = resolve(settled, {"data": {"file": str(path)}}, "data.file")
    if rows is not None:
        settled = resolve(settled, {"data": {"generate": {"rows": rows}}}, "--rows")
    if data is not None and _is_address(data):
        settled = resolve(settled, {"data": {"uri": data}}, "--data")
    if rows is not None and (settled.data.uri or settled.data.file or data):
        raise BadInput("--rows says how many rows to generate, and there is a data set: leave one of the two out")
    return settled


def _refuse_address(session: Session, info: AnyStack, uri: str) -> None:
    """Refuses before anything is triggered what the run would refuse."""
    try:
        store = session.store(info)
    except StoreDown:
        # A stack elsewhere whose bucket cannot be reached from here does it by itself, in its first task.
        return
    refuse(uri, store, allowed_sources(info.client_environ()).hosts)


def _is_address(data: str) -> bool:
    return "://" in data


def local_source(data: str | None, max_bytes: int | None = None) -> Path | None:
    """The file or folder that `--data` names, else None; `BadInput` where it is missing, empty or above `max_bytes`."""
    if not data or _is_address(data):
        return None
    path = Path(data).expanduser()
    if not path.is_file() and not path.is_dir():
        raise BadInput(f"{path} does not exist: name a CSV or Parquet file, or give an s3:// address")
    size = _size_of(path)
    if path.is_file() and size == 0:
        raise BadInput(f"{path} is empty: it needs a header and rows")
    if max_bytes is not None and size > max_bytes:
        raise BadInput(f"{path} has {size:,} bytes, and data.max_bytes allows {max_bytes:,}: raise it with --set")
    return path


def _size_of(path: Path) -> int:
    """The bytes of a file, or of all Parquet files of a folder."""
    return sum(each.stat().st_size for each in (files_of(path).values() if path.is_dir() else [path]))


def new_run_id(now: datetime, token: str) -> str:
    """A DAG run's id that tells when it was asked for, and that no other call makes.

    >>> new_run_id(datetime(2026, 1, 31, 9, 30, 15, 250000), "0af3")
    'cli__2026-01-31T09-30-15.250Z__0af3'
    """
    return f"cli__{now.strftime('%Y-%m-%dT%H-%M-%S')}.{now.microsecond // 1000:03d}Z__{token}"


def _conf_of(config: PipelineConfig, uri: str, note: str) -> dict[str, Any]:
    """What the trigger says: the whole configuration, so that the run does not depend on the worker's own file."""
    plain = config.as_dict()
    plain["data"]["uri"] = uri
    # Its place on this machine is nobody else's business; where it is in the bucket, the address says.
    plain["data"]["file"] = ""
    return {"data": uri, "config": plain, "note": note}


def _make_dag_ready(session: Session, airflow: AirflowClient, *, quiet: bool) -> None:
    """Waits for Airflow to have read the DAG, right after a first start, and unpauses it: a paused one never runs."""
    deadline = session.clock() + _DAG_WAIT_S
    while True:
        try:
            dag = airflow.dag(DAG_ID)
            break
        except BadInput as error:
            if session.clock() > deadline:
                hint = "see 'trackyard logs airflow-dag-processor'"
                raise CommandFailed(f"Airflow does not know {DAG_ID} after {_DAG_WAIT_S:g} s: {hint}") from error
            session.sleep(0.5)
    if dag.get("is_paused"):
        airflow.unpause(DAG_ID)
        if not quiet:
            say(session.out, f"{DAG_ID} was paused: it is not any more")


def _follow(session: Session, airflow: AirflowClient, run_id: str, timeout: float | None, *, quiet: bool) -> RunView:
    run = (DAG_ID, run_id)
    if quiet:
        return follow(airflow, run, lambda view, news: None, session, timeout)
    say(session.out, f"run {run_id}")
    with Board(session.out) as board:
        return follow(airflow, run, partial(show_run, board), session, timeout)


def _say_triggered(session: Session, info: AnyStack, run_id: str, *, as_json: bool) -> None:
    if as_json:
        view = RunView(run_id, "queued", None, ())
        show_json(session.out, run_result.result_json(view, Record()))
    else:
        say(session.out, f"triggered {run_id}")
        say(session.out, run_result.airflow_link(info.urls["airflow"], run_id))


def upload(session: Session, info: AnyStack, path: Path) -> str:
    """Puts a local file or folder into the bucket, once, and returns its address."""
    store = session.store(info)
    put = partial(put_folder, store, path) if path.is_dir() else partial(store.put_file, path)
    if not session.errors.is_terminal:
        return put()
    from rich.progress import Progress

    with Progress(console=session.errors, transient=True) as progress:
        bar = progress.add_task(f"uploading {path.name}", total=_size_of(path))
        return put(progress=lambda size: progress.advance(bar, size))


def data_add(context: typer.Context, file: DataFile) -> None:
    """Put a local file or folder into the bucket, once, and print its s3:// address for the trigger form."""
    session: Session = context.obj
    local = local_source(str(file)) or file
    say(session.out, upload(session, session.running_stack(), local))
