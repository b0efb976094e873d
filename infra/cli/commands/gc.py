"""The command that clears away: gc."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.options import Json
from infra.cli.output import say, show_json
from infra.cli.session import Session

if TYPE_CHECKING:
    from infra.cli.garbage import Garbage


def gc(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    older_than: Annotated[
        float,
        typer.Option("--older-than", min=0, help="Days that open runs, intermediate data and unused data sets stay."),
    ] = 30.0,
    as_json: Json = False,
) -> None:
    """Close runs that dead DAG runs left open, and remove old intermediate data and objects that nothing refers to.

    Versions stay, and with them all that belongs to a version with an alias.
    """
    from infra.cli.garbage import find, remove

    session: Session = context.obj
    info = session.running_stack()
    store = session.store(info)
    before = session.now() - timedelta(days=older_than)
    lines: list[str] = []
    with session.mlflow(info) as tracker:
        garbage = find(tracker, store, session.airflow(info), before)
        if not dry_run:
            remove(garbage, tracker, store, lines.append)
    if as_json:
        show_json(session.out, _plain(garbage, dry_run=dry_run))
        return
    for line in [*_listed(garbage), *lines, _summary(garbage, "would go" if dry_run else "removed")]:
        say(session.out, line)


def _plain(garbage: Garbage, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "open_runs": [run.info.run_id for run in garbage.open_runs],
        "intermediate": [each.key for each in garbage.tables],
        "unused": [each.key for each in garbage.orphans],
    }


def _listed(garbage: Garbage) -> list[str]:
    lines = [
        f"open run      {run.info.run_id} of {run.data.tags.get('airflow.run_id', '?')}, whose DAG run is over"
        for run in garbage.open_runs
    ]
    for what, objects in (("intermediate", garbage.tables), ("unused", garbage.orphans)):
        lines += [f"{what:<13} {each.key} ({each.size:,} bytes)" for each in objects]
    return lines


def _summary(garbage: Garbage, verb: str) -> str:
    size = sum(each.size for each in (*garbage.tables, *garbage.orphans))
    counts = f"{len(garbage.open_runs)} open runs, {len(garbage.tables)} intermediate"
    return f"{counts} and {len(garbage.orphans)} unused objects ({size:,} bytes) {verb}"
