"""The commands that move the champion: promote, rollback."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.model_access import check_model, history_of
from infra.cli.options import Model
from infra.cli.output import say
from infra.cli.session import Session
from ml.errors import BadInput, GateFailed, StoreDown

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from infra.cli.clients import AnyStack
    from ml.history.champion_moves import History

Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the version.")]

_SERVICE_WAIT_S = 5.0


def promote(
    context: typer.Context,
    version: Annotated[int, typer.Argument(min=1, help="The version to put live.")],
    reason: Reason = "",
    model: Model = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also a version that did not pass the gate; wants --reason.")
    ] = False,
) -> None:
    """Make a version champion: the one that is served. It must have passed the gate, and its file be as recorded."""
    if force and not reason.strip():
        raise BadInput("--force puts a version live that did not pass the gate: say why with --reason TEXT")
    session: Session = context.obj

    def target(tracker: MlflowClient, name: str) -> str:
        _refuse_unvalidated(tracker, name, str(version), force=force)
        return str(version)

    _move(session, model, target, way="trackyard promote", why=reason or "promoted by hand")


def rollback(context: typer.Context, reason: Reason = "", model: Model = None) -> None:
    """Make the version champion again that was champion before."""
    from ml.registry import versions

    _move(context.obj, model, versions.before, way="trackyard rollback", why=reason or "rolled back by hand")


def _refuse_unvalidated(tracker: MlflowClient, name: str, version: str, *, force: bool) -> None:
    from ml.registry.versions import find_version

    tags = find_version(tracker, name, version).tags
    if tags.get("validation") == "passed" or force:
        return
    what = "failed the gate" if tags.get("validation") == "failed" else "was never judged by the gate"
    raise GateFailed(
        f"{name} version {version} {what} ('trackyard lineage {version}' tells more): "
        "promote another, or this one with --force --reason TEXT"
    )


def _reachable_history(session: Session, info: AnyStack, name: str) -> History | None:
    """The history; None for a stack elsewhere whose bucket cannot be reached from here."""
    try:
        return history_of(session, info, name)
    except StoreDown:
        return None


def _move(session: Session, model: str | None, find: Callable[[MlflowClient, str], str], *, way: str, why: str) -> None:
    """Moves the champion to the version that `find` names, once that one is checked; `find` may also refuse."""
    from ml.history.champion_moves import user
    from ml.history.intent import Cause, refuse_long
    from ml.history.without_store import move_from_afar
    from ml.registry.versions import CHAMPION, aliases
    from ml.registry.versions import promote as go_live

    refuse_long(why)
    name = session.model_name(model)
    info = session.running_stack()
    with session.mlflow(info) as tracker:
        check_model(tracker, name)
        history = _reachable_history(session, info, name)
        if history is not None:
            # What others did by hand comes first: a rollback goes back behind that too.
            history.observe()
        before = aliases(tracker, name).get(CHAMPION)
        target = find(tracker, name)
        with tempfile.TemporaryDirectory(prefix="trackyard-") as folder:
            # What cannot be loaded, or is not the file that was recorded, is refused before anything moves.
            session.load(tracker, name, target, Path(folder))
        cause, make = Cause(user(), way, why), partial(go_live, tracker, name, target)
        move = history.move(cause, make, target) if history else move_from_afar(tracker, name, cause, make, target)
    what = f"{name} version {move.version} is champion"
    if move.version == before:
        say(session.out, f"{what}, as it was before")
    else:
        say(session.out, f"{what} (before: {f'version {before}' if before else 'none'})")
    _say_what_is_served(session, info, name, move.version)


def _say_what_is_served(session: Session, info: AnyStack, name: str, version: str) -> None:
    served = _served(session, info, name, version)
    url = info.urls["serving"]
    if served is None:
        say(session.out, f"the service at {url} does not answer; it loads the champion when it is back")
    elif served.get("name") not in (None, name):
        say(session.out, f"the service at {url} serves another model: {served['name']}")
    elif str(served.get("version")) == version:
        say(session.out, f"the service at {url} serves version {version}")
    else:
        live = served.get("version") or "none"
        say(session.out, f"the service at {url} has not loaded it yet (live version: {live}): see 'trackyard status'")


def _served(session: Session, info: AnyStack, name: str, version: str) -> dict[str, Any] | None:
    """What the service serves: asked until it is that version, or for a few seconds; None when it does not answer."""
    deadline = session.clock() + _SERVICE_WAIT_S
    while True:
        served = session.live_model(info)
        is_other = served is not None and served.get("name") not in (None, name)
        is_it = served is not None and (served.get("name"), str(served.get("version"))) == (name, version)
        if is_it or is_other or session.clock() > deadline:
            return served
        session.sleep(0.25)
