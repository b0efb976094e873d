"""The commands around the pipeline: init, mail, doctor."""

from __future__ import annotations

import os
from dataclasses import asdict, astuple
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.commands.run import local_source, upload
from infra.cli.errors import CommandFailed, StackNotUp
from infra.cli.options import DAG_ID, DataFile, Json
from infra.cli.output import local_time, say, show_json, show_list, show_table, write_file
from infra.cli.session import Session
from ml.errors import BadInput, UnreadableData

if TYPE_CHECKING:
    from infra.cli.mails import Mail
    from infra.stack.doctor import Check
    from ml.reading.tables import RawTable

MAX_INIT_BYTES = 2 * 2**30


def init(
    context: typer.Context,
    data: DataFile,
    target: Annotated[str, typer.Option("--target", help="The column to predict.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("pipeline.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    add: Annotated[
        bool, typer.Option("--add", help="Also put the data into the bucket, and its address into the file.")
    ] = False,
) -> None:
    """Write a commented pipeline.yaml for data of your own.

    Shows what was found: types, missing and distinct values, suspected ids, constants and leaks, the class balance.
    Read the file and correct what was guessed wrong.
    """
    from ml.config.loading import parse_config
    from ml.config.yaml_text import read_yaml
    from ml.inspection.inspect import HEADINGS, findings, inspect_table, model_name_of, remarks
    from ml.inspection.pipeline_template import pipeline_yaml

    session: Session = context.obj
    if output.exists() and not force:
        raise BadInput(f"{output} exists: name another file with --output, or add --force to write over it")
    table = inspect_table(_read(data), target, data.name)
    name = model_name_of(data.resolve().name.split(".")[0])
    # What could not be read again is refused before anything is put into the bucket.
    config = parse_config(read_yaml(pipeline_yaml(table, name)), str(output))
    local = local_source(str(data), config.data.max_bytes) if add else None
    uri = upload(session, session.running_stack(), local) if local else ""
    text = pipeline_yaml(table, name, uri, os.path.relpath(data.resolve(), output.resolve().parent))
    parse_config(read_yaml(text), str(output))
    write_file(output, text)
    show_table(session.out, HEADINGS, findings(table))
    for line in remarks(table):
        say(session.out, line)
    features = sum(1 for column in table.columns if not column.drop_because) - 1
    say(session.out, f"{output}: {table.rows} rows, {features} features, target {target!r}, 1 is {table.positive!r}")
    is_default = output.resolve() == session.settings().pipeline_file
    say(session.out, "next: trackyard run" + ("" if is_default else f" --config {output}"))


def _read(data: Path) -> RawTable:
    from ml.data.folders import files_of
    from ml.reading.tables import read_parts, read_table

    try:
        if data.is_dir():
            parts = {name: path.read_bytes() for name, path in files_of(data).items()}
            return read_parts(parts, data.name, MAX_INIT_BYTES, 10**9)
        return read_table(data.read_bytes(), data.name, MAX_INIT_BYTES, 10**9)
    except OSError as error:
        raise UnreadableData(f"{data} cannot be read ({error.strerror}): name a CSV or Parquet file") from error


def mail(
    context: typer.Context,
    number: Annotated[int | None, typer.Argument(min=1, help="Show this mail; 1 is the newest.")] = None,
    as_json: Json = False,
) -> None:
    """List the mail that was sent, the newest first; or show one."""
    from infra.cli.mails import read_mailbox, read_mailpit

    session: Session = context.obj
    remote = session.remote()
    mails = read_mailpit(remote.mail_url) if remote else read_mailbox(session.known_stack().mail_dir)
    if number is not None and number > len(mails):
        have = f"there are {len(mails)}" if mails else "no mail was sent yet"
        raise BadInput(f"there is no mail {number}: {have}")
    if number is None:
        rows = [_head(place, each) for place, each in enumerate(mails, 1)]
        headings, empty = ["", "date", "to", "subject"], "no mail was sent yet"
        show_list(session.out, rows, headings, _cells, as_json=as_json, empty=empty)
        return
    shown = mails[number - 1]
    if as_json:
        show_json(session.out, {**_head(number, shown), "text": shown.text, "html": shown.html})
        return
    lines = (f"From: {shown.sender}", f"To: {shown.to}", f"Date: {format_datetime(shown.date)}")
    for line in (*lines, f"Subject: {shown.subject}", f"\n{shown.text}"):
        say(session.out, line)


def _head(number: int, mail: Mail) -> dict[str, Any]:
    date = mail.date.isoformat()
    return {"number": number, "date": date, "from": mail.sender, "to": mail.to, "subject": mail.subject}


def _cells(row: dict[str, Any]) -> list[str]:
    return [str(row["number"]), local_time(row["date"]), row["to"], row["subject"]]


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Check the machine and the stack, and say what to do about what is wrong.

    Exits with 1 when anything is wrong. A stack that does not run is not: then the ports it would use are checked.
    """
    session: Session = context.obj
    checks = _all_checks(session)
    if as_json:
        show_json(session.out, [asdict(check) for check in checks])
    else:
        show_table(session.out, ["check", "state", "found", "what to do"], [astuple(check) for check in checks])
    wrong = [check.name for check in checks if check.state == "wrong"]
    if wrong:
        raise CommandFailed(f"wrong: {', '.join(wrong)}")
    if not as_json:
        say(session.out, "nothing is wrong")


def _all_checks(session: Session) -> list[Check]:
    from infra.stack import doctor as checks
    from infra.stack.info import StackInfo

    settings = session.settings()
    try:
        info = session.running_stack()
    except StackNotUp:
        stopped = checks.Check("stack", checks.NOTE, "it does not run", "'trackyard up' starts it")
        return [*checks.check_machine(settings, is_running=False), stopped]
    return [
        *(checks.check_machine(settings, is_running=True) if isinstance(info, StackInfo) else []),
        *checks.check_parts(session.status(info)),
        checks.airflow_login(lambda: session.airflow(info).dag(DAG_ID)),
        *checks.champions(lambda: session.service_status(info)),
        checks.clock(session.server_date(f"{info.api_urls['mlflow']}/health"), session.now()),
    ]


def init_env(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(".env"),
) -> None:
    """Write the .env of 'docker compose up': generated secrets and the settings, mode 0600.

    A file that is there is never written over: the databases were made with its passwords.
    """
    from infra.deploy.init_env import write

    session: Session = context.obj
    write(output, session.environ)
    say(session.out, f"{output}: secrets and settings (mode 0600); next: docker compose up -d --wait")
