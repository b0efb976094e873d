"""The registered model that a command is about, and its history. Effects: MLflow and S3."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from infra.cli.session import Session
from ml.errors import BadInput, Misconfigured, Unavailable
from ml.tracking.searching import every

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from infra.cli.clients import AnyStack
    from ml.history.champion_moves import History

log = logging.getLogger(__name__)


def history_of(session: Session, info: AnyStack, name: str) -> History:
    """The history of a model."""
    from ml.history.champion_moves import History

    return History(session.store(info), session.tracker(info), name, session.now)


def notice(session: Session, info: AnyStack, names: Iterable[str]) -> None:
    """Writes down who else moved a champion; a store that is away or a broken history are no reason to list nothing."""
    for name in names:
        try:
            history_of(session, info, name).observe()
        except (Misconfigured, Unavailable) as error:
            log.info("model=%s the history could not be written: %s", name, error)


def asked_for(context: typer.Context, model: str | None) -> tuple[Session, AnyStack, str]:
    """What a command about one model works with: its session, the running stack, and the model's name."""
    session: Session = context.obj
    return session, session.running_stack(), session.model_name(model)


def check_model(tracker: MlflowClient, name: str) -> None:
    """Refuses a model that is not there, and names those that are."""
    known = [each.name for each in every(tracker.search_registered_models)]
    if name not in known:
        have = f"there are {', '.join(known)}" if known else "there is none yet: 'trackyard run' makes one"
        raise BadInput(f"no model is called {name!r}: {have}")
