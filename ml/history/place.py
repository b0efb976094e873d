"""The folder of the bucket in which the history of one registered model lies, and what lies there. Effects: S3, MLflow.

The folder is named after the model and the moment at which it was made: that moment goes with a model that is renamed,
and tells one that was deleted from another of the same name. The previous release named it after the model alone; a
history that began there goes on there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ml.errors import Misconfigured, UnreadableData
from ml.history import ledger
from ml.history.ledger import Entry
from ml.registry import versions

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

    from ml.data.store import Store

HEAD = "history.head"
"""The registered model's tag with the number and the hash of the newest entry."""
_ROOT = "history/"
_ENTRY = re.compile(r"\d{8}\.json")
_INTENT = re.compile(r"intent-[0-9a-f]{32}\.json")


@dataclass(frozen=True)
class Place:
    """The folder of the model of a name, as it was when it was listed: its prefix, and its files' names in order."""

    store: Store
    name: str
    prefix: str
    files: tuple[str, ...]

    def contents(self) -> list[tuple[int, bytes]]:
        """Every entry's number and bytes, in order."""
        return [self._content(file) for file in self.files if _ENTRY.fullmatch(file)]

    def _content(self, file: str) -> tuple[int, bytes]:
        return int(file[:8]), self.store.read(self.prefix + file)

    def entries(self) -> list[Entry]:
        """Every entry, in order; `Misconfigured` where one of them cannot be read."""
        return [self._decoded(number, content) for number, content in self.contents()]

    def last(self) -> Entry | None:
        """The newest entry; `entries` says what is raised."""
        numbered = [file for file in self.files if _ENTRY.fullmatch(file)]
        return self._decoded(*self._content(numbered[-1])) if numbered else None

    def create(self, entry: Entry) -> bool:
        """Writes an entry, unless there is another of its number; tells whether this one is there now."""
        key, content = f"{self.prefix}{entry.number:08d}.json", entry.encoded()
        # Refused, it may be because an answer was lost: the entry there is then this very one.
        return self.store.create(content, key) or self.store.read(key) == content

    def intents(self) -> Iterator[bytes]:
        """What moves that have begun, and whose entry is not written yet, say of themselves."""
        for file in self.files:
            # One that is gone by now has its entry.
            with suppress(UnreadableData):
                if _INTENT.fullmatch(file):
                    yield self.store.read(self.prefix + file)

    def intent_key(self, identity: str) -> str:
        """Where a move says what it is about to do."""
        return f"{self.prefix}intent-{identity}.json"

    def _decoded(self, number: int, content: bytes) -> Entry:
        try:
            return ledger.decode(content)
        except ValueError as error:
            raise Misconfigured(
                f"entry {number} of the history of {self.name} cannot be read ({error}): "
                "'trackyard history --verify' tells what is whole"
            ) from error


def head_of(model: RegisteredModel) -> tuple[int, str] | None:
    """Number and hash of the newest entry, as MLflow remembers it; None where it does not."""
    number, _, digest = str(dict(model.tags).get(HEAD, "")).partition(" ")
    return (int(number), digest) if number.isdigit() else None


def find(store: Store, client: MlflowClient, model: RegisteredModel) -> Place:
    """The folder of a model, which may be empty."""
    own = _listed(store, model.name, f"{_ROOT}{quote(model.name, safe='')}{_mark(model)}")
    if own.files:
        return own
    of_that_name = _listed(store, model.name, f"{_ROOT}{quote(model.name, safe='')}/")
    if of_that_name.files and _is_of(of_that_name, model):
        return of_that_name
    is_new = head_of(model) is None and versions.CHAMPION not in dict(model.aliases)
    return own if is_new else _of_another_name(store, client, model) or own


def _mark(model: RegisteredModel) -> str:
    return f"@{model.creation_timestamp}/"


def _listed(store: Store, name: str, prefix: str) -> Place:
    return Place(store, name, prefix, tuple(each.key.removeprefix(prefix) for each in store.listed(prefix)))


def _is_of(place: Place, model: RegisteredModel) -> bool:
    """Whether a folder without a moment is this model's, and not that of one of this name that was deleted."""
    if _holds(place, head_of(model)):
        return True
    try:
        last = place.last()
    except Misconfigured:
        return True
    return last is not None and datetime.fromisoformat(last.at).timestamp() * 1000 >= model.creation_timestamp


def _holds(place: Place, head: tuple[int, str] | None) -> bool:
    file = f"{head[0]:08d}.json" if head else ""
    if head is None or file not in place.files:
        return False
    try:
        return ledger.decode(place.store.read(place.prefix + file)).hash == head[1]
    except ValueError:
        return False


def _of_another_name(store: Store, client: MlflowClient, model: RegisteredModel) -> Place | None:
    """The folder of a model that was renamed since its history began."""
    folders = sorted({each.key.rpartition("/")[0] + "/" for each in store.listed(_ROOT) if each.key.count("/") > 1})
    same = [folder for folder in folders if folder.endswith(_mark(model)) and not _is_anothers(client, folder, model)]
    unmarked = [folder for folder in folders if "@" not in folder]
    for folder in (*same, *unmarked):
        place = _listed(store, model.name, folder)
        if folder in same or _holds(place, head_of(model)):
            return place
    return None


def _is_anothers(client: MlflowClient, folder: str, model: RegisteredModel) -> bool:
    """Whether a model that was made in the same millisecond bears the folder's name."""
    other = versions.find_model(client, unquote(folder.removeprefix(_ROOT).rpartition("@")[0]))
    return other is not None and other.creation_timestamp == model.creation_timestamp
