"""Promoting from where the bucket cannot be reached, as from another machine. Effects: MLflow alone.

The history lies in the bucket, so whoever can reach it writes the entry. Until then the intent lies with the version.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ml.history import intent, ledger
from ml.history.intent import Cause, Intent
from ml.history.place import head_of
from ml.registry import versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from ml.registry.versions import Move

AFAR = "promotion.intent"
"""The version's tag that holds the intent, and goes when the entry is written."""


def move_from_afar(tracker: MlflowClient, name: str, cause: Cause, change: Callable[[], Move], target: str) -> Move:
    """Moves the champion to the target by `change`, and returns what that did.

    Whoever looks next writes the entry from the intent.
    """
    model = versions.find_model(tracker, name)
    aliases = versions.aliases(tracker, name)
    if model is None or aliases.get(versions.CHAMPION) == target:
        return change()
    head = head_of(model)
    previous = head[1] if head else ledger.NO_ENTRY
    said = Intent(cause.entry(datetime.now(UTC), target), previous, aliases.get(versions.PREVIOUS))
    versions.write_version_tags(tracker, name, target, {AFAR: said.text()})
    move = versions.move_announced(tracker, name, target, change, partial(take_back, tracker, name, target))
    if move.changed:
        tags = {AFAR: replace(said, is_done=True).text(), **intent.promoted_tags(said.entry)}
        versions.write_version_tags(tracker, name, target, tags)
    return move


def take_back(tracker: MlflowClient, name: str, version: str) -> None:
    """Removes a version's intent."""
    from mlflow.exceptions import MlflowException

    # One that stays is believed by nobody: the history has gone on, or the alias is elsewhere.
    with suppress(MlflowException):
        tracker.delete_model_version_tag(name, version, AFAR)
