"""The command that clears away: gc."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.output import say, show_json
from infra.cli.session import session_of
from infra.cli.stack import Json

if TYPE_CHECKING:
    from ml.storage import Listed


def gc(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", min=0, help="Days that intermediate data and unused data sets stay.")
    ] = 30.0,
    as_json: Json = False,
) -> None:
    """Close runs that dead DAG runs left open, and remove old intermediate data and objects that nothing refers to.

    Versions stay, and with them all that belongs to a version with an alias.
    """
    from infra.garbage import find, remove
    from ml.tracking import mapped

    session = session_of(context)
    info = session.running_stack()
    tracker, store = session.tracker(info), session.store(info)
    before = session.now() - timedelta(days=older_than)

    def told(text: str) -> None:
        if not as_json:
            say(session.out, text)

    with mapped(info.urls["mlflow"]):
        found = find(tracker, store, session.airflow(info), before)
        for run in found.open_runs:
            told(
                f"open run      {run.info.run_id} of {run.data.tags.get('airflow.run_id', '?')}, whose DAG run is over"
            )
        for what, objects in (("intermediate", found.tables), ("unused", found.orphans)):
            for each in objects:
                told(f"{what:<13} {each.key} ({each.size:,} bytes)")
        if not dry_run:
            remove(found, tracker, store, told)
    if as_json:
        show_json(
            session.out,
            {
                "dry_run": dry_run,
                "open_runs": [run.info.run_id for run in found.open_runs],
                "intermediate": _keys(found.tables),
                "unused": _keys(found.orphans),
            },
        )
        return
    size = sum(each.size for each in (*found.tables, *found.orphans))
    verb = "would go" if dry_run else "removed"
    say(
        session.out,
        f"{len(found.open_runs)} open runs, {len(found.tables)} intermediate and {len(found.orphans)} unused objects "
        f"({size:,} bytes) {verb}",
    )


def _keys(objects: list[Listed]) -> list[str]:
    return [each.key for each in objects]
