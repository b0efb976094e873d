"""A model with a history, and what happens to it: on a real MLflow store and a bucket in memory."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ml.history import champion_moves, ledger, place
from ml.history.champion_moves import History
from ml.history.intent import Cause
from ml.registry import versions
from tests.fakes import MemoryStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

ME = Cause("me", "trackyard promote", "because")
NAMES = iter(f"history-{number}" for number in range(100))


@pytest.fixture
def told(client: MlflowClient) -> History:
    """The history of a model with four versions and no champion."""
    name = next(NAMES)
    client.create_registered_model(name)
    for _ in range(4):
        client.create_model_version(name, "file:///x", tags={"run_key": name})
    return History(MemoryStore(), client, name)  # type: ignore[arg-type]


def promote(told: History, version: str, cause: Cause = ME) -> Any:
    """Promotes a version so that the history knows."""
    return told.move(cause, lambda: versions.promote(told.tracker, told.name, version), version)


def by_hand(told: History, version: str) -> None:
    """Makes a version champion as somebody does who writes to MLflow alone."""
    told.tracker.set_registered_model_alias(told.name, "champion", version)


def moves(told: History) -> list[tuple[str | None, str | None, str]]:
    """What the history tells: from which version to which, and how."""
    return [(entry.before, entry.after, entry.way) for entry in told.entries()]


def promoted(told: History, version: str) -> tuple[str | None, ...]:
    """What a version tells of who made it champion, when and why."""
    tags = told.tracker.get_model_version(told.name, version).tags
    return tuple(tags.get(f"promoted.{what}") for what in ("by", "at", "reason"))


def remade(told: History, model_id: str) -> None:
    """Makes the model again after it was deleted, with one version."""
    told.tracker.create_registered_model(told.name)
    add_version(told, model_id)


def add_version(told: History, model_id: str) -> None:
    """A version whose source is a logged model that MLflow need not have."""
    source = "file:///x"
    made = told.tracker.create_model_version(told.name, source, tags={"model.sha256": f"sha of {model_id}"})
    store = told.tracker._get_registry_client().store  # type: ignore[attr-defined]
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion

    with store.ManagedSessionMaker(read_only=False) as session:
        row = session.query(SqlModelVersion).filter_by(name=told.name, version=made.version).one()
        row.source = f"models:/{model_id}"


class Previous:
    """A history as the previous release wrote it: a folder named after the model alone, and an intent on the model."""

    def __init__(self, told: History) -> None:
        self.told = told
        self.entries: list[ledger.Entry] = []

    def write(self, version: str, who: str = "me") -> None:
        last = self.entries[-1] if self.entries else None
        entry = ledger.follow(last, Cause(who, ME.way, "long ago").entry(datetime.now(UTC), version))
        self.entries.append(entry)
        self.told.store.create(entry.encoded(), f"history/{self.told.name}/{entry.number:08d}.json")
        self.told.tracker.set_registered_model_tag(
            self.told.name, place.HEAD, f"{entry.number} {entry.hash}"
        )  # fmt: skip
        by_hand(self.told, version)

    def intend(self, version: str) -> None:
        entry = asdict(Cause("the old one", ME.way, "and then I died").entry(datetime.now(UTC), version))
        old = {key: value for key, value in entry.items() if key not in ("sha256", "model_id")}
        intent = json.dumps({"entry": old, "previous": self.entries[-1].hash})
        self.told.tracker.set_registered_model_tag(self.told.name, champion_moves.OLD_INTENT, intent)
