"""The commands about who was champion when: history, champion. Each first writes down what nobody has noticed yet."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.errors import CommandFailed
from infra.cli.model_access import asked_for, check_model, history_of
from infra.cli.options import Json, Model
from infra.cli.output import local_time, say, show_json, show_list
from ml.errors import BadInput

if TYPE_CHECKING:
    from ml.history.ledger import Entry


def history(
    context: typer.Context,
    verify: Annotated[bool, typer.Option("--verify", help="Check that no entry was changed or is missing.")] = False,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """List who moved the champion, when, from what to what, why and by which way, the oldest first."""
    session, info, name = asked_for(context, model)
    with session.mlflow(info) as tracker:
        check_model(tracker, name)
        moves = history_of(session, info, name)
        problems = moves.problems() if verify else []
        if problems:
            raise CommandFailed(f"the history of {name} is not what was written: {problems[0]}", problems[1:])
        moves.observe()
        entries = moves.entries()
    if verify and not as_json:
        head = f", the newest with hash {entries[-1].hash}" if entries else ""
        say(session.out, f"the history of {name} is whole: {len(entries)} entries{head}")
        return
    headings = ["entry", "when", "from", "to", "way", "who", "why"]
    empty = f"{name} never had a champion: 'trackyard promote VERSION' makes one"
    show_list(session.out, [_plain(entry) for entry in entries], headings, _cells, as_json=as_json, empty=empty)


def _cells(row: dict[str, Any]) -> list[str]:
    versions = [row["from"] or "-", row["to"] or "-"]
    return [str(row["number"]), local_time(row["at"]), *versions, row["way"], row["who"], row["why"]]


def champion(
    context: typer.Context,
    at: Annotated[
        str, typer.Option("--at", help="A moment such as 2026-05-01T12:00Z; local time without a zone, now by default.")
    ] = "",
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Tell which version was champion at a moment, since when, and why."""
    from ml.history.ledger import champion_at

    parsed = parse_moment(at) if at else None
    session, info, name = asked_for(context, model)
    moment = parsed or session.now()
    with session.mlflow(info) as tracker:
        check_model(tracker, name)
        moves = history_of(session, info, name)
        moves.observe()
        entry = champion_at(moves.entries(), moment)
    if entry is None or entry.after is None:
        raise CommandFailed(f"{name} had no champion at {local_time(moment)}")
    if as_json:
        show_json(session.out, {"name": name, "version": entry.after, "at": moment.isoformat(), "entry": _plain(entry)})
        return
    say(session.out, f"{name} version {entry.after} was champion at {local_time(moment)}")
    say(session.out, f"since {local_time(entry.at)}, by {entry.way} ({entry.who}): {entry.why}")


def parse_moment(text: str) -> datetime:
    """A moment with its time zone, the local one where it has none; `BadInput` where it is no moment."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        raise BadInput(f"--at {text!r} is no moment: write it as 2026-05-01T12:00Z") from error


def _plain(entry: Entry) -> dict[str, Any]:
    shown_as = {"before": "from", "after": "to"}
    return {shown_as.get(name, name): value for name, value in asdict(entry).items()}
