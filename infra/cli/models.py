"""The commands that move the champion: promote, rollback."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.output import say
from infra.cli.session import Session, session_of
from ml.errors import BadInput

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from infra.cli.doors import AnyStack
    from ml.registry import Move

Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the version.", show_default=False)]
Model = Annotated[
    str | None,
    typer.Option("--model", help="The registered model; the pipeline file's by default.", show_default=False),
]

_SERVICE_WAIT_S = 5.0


def promote(
    context: typer.Context,
    version: Annotated[int, typer.Argument(min=1, help="The version to put live.", show_default=False)],
    reason: Reason = "",
    model: Model = None,
) -> None:
    """Make a version champion: the one that is served."""
    from ml import registry

    _move(
        session_of(context),
        model,
        lambda tracker, name: registry.promote(tracker, name, str(version)),
        reason or "promoted by hand",
    )


def rollback(context: typer.Context, reason: Reason = "", model: Model = None) -> None:
    """Make the version champion again that was champion before."""
    from ml import registry

    _move(session_of(context), model, registry.roll_back, reason or "rolled back by hand")


def _move(session: Session, model: str | None, change: Callable[[MlflowClient, str], Move], reason: str) -> None:
    from ml.registry import CHAMPION, aliases, write_version_tags
    from ml.tracking import mapped

    name = model or session.pipeline_config().model.name
    info = session.running_stack()
    tracker = session.tracker(info)
    with mapped(info.api_urls["mlflow"]):
        _check_model(tracker, name)
        before = aliases(tracker, name).get(CHAMPION)
        move = change(tracker, name)
        tags = {
            "promotion.reason": reason,
            "promotion.by": _user(),
            "promotion.at": session.now().isoformat(timespec="seconds"),
        }
        # Asking for what is live already changes nothing, so there is no reason to keep.
        if move.version != before:
            write_version_tags(tracker, name, move.version, tags)
    what = f"{name} version {move.version} is champion"
    if move.version == before:
        say(session.out, f"{what}, as it was before")
    else:
        say(session.out, f"{what} (before: {f'version {before}' if before else 'none'})")
    _say_what_is_served(session, info, name, move.version)


def _check_model(tracker: MlflowClient, name: str) -> None:
    known = [each.name for each in tracker.search_registered_models(max_results=1000)]
    if name not in known:
        have = f"there are {', '.join(known)}" if known else "there is none yet: 'trackyard run' makes one"
        raise BadInput(f"no model is called {name!r}: {have}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _say_what_is_served(session: Session, info: AnyStack, name: str, version: str) -> None:
    served = served_model(session, info, name, version)
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


def served_model(session: Session, info: AnyStack, name: str, version: str) -> dict[str, Any] | None:
    """What the service serves: asked until it is that version, or for a few seconds; None when it does not answer."""
    import httpx

    deadline = session.clock() + _SERVICE_WAIT_S
    while True:
        try:
            served = dict(session.fetch(f"{info.api_urls['serving']}/status").get("model") or {})
        except (httpx.HTTPError, ValueError):
            served = None
        is_it = served is not None and (served.get("name"), str(served.get("version"))) == (name, version)
        is_other = served is not None and served.get("name") not in (None, name)
        if is_it or is_other or session.clock() > deadline:
            return served
        session.sleep(0.25)
