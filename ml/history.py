"""Moving the champion so that the history knows, and noticing who else moved it. Effects: MLflow and S3.

The entries lie in the bucket, each written once and never over another (S3's conditional write); the newest one's hash
is a tag in MLflow, so that nobody changes the history without changing two servers. Before our own code moves the alias
it says so in a tag (the intent); whoever then looks first, finds the alias moved and the history silent, writes the
entry from that intent. An alias that moved without one was moved by hand.
"""

from __future__ import annotations

import getpass
import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ml import ledger, registry
from ml.errors import BadInput, Misconfigured, Rejected, Unavailable
from ml.ledger import Entry

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from ml.registry import Move
    from ml.storage import Store

log = logging.getLogger(__name__)

HEAD = "history.head"
INTENT = "history.intent"
BY_HAND = "outside Trackyard"
_PROBE = "history/.written-once"
_TRIES = 20


@dataclass(frozen=True)
class Cause:
    """Who moves the champion, by which way, and why."""

    who: str
    way: str
    why: str


def user() -> str:
    """The name of the account that runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _entry(now: datetime, after: str | None, cause: Cause) -> Entry:
    at = now.astimezone(UTC).isoformat(timespec="milliseconds")
    why = " ".join(cause.why.split())[:1000]
    return Entry(0, at, cause.who, cause.way, None, after, why, uuid.uuid4().hex)


def _write_tag(tracker: MlflowClient, name: str, key: str, value: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        tracker.set_registered_model_tag(name, key, value)
    except MlflowException:
        # Two who write a new tag at the same moment both insert it, and one is refused; now it is there to be changed.
        tracker.set_registered_model_tag(name, key, value)


@dataclass(frozen=True)
class Intent:
    """What is about to be done: the entry that tells of it, and the hash of the one that it follows."""

    entry: Entry
    previous: str

    def carry_out(self, tracker: MlflowClient, name: str, change: Callable[[], Move]) -> Move:
        """Says in MLflow what is about to be done, and does it."""
        told = {"entry": json.loads(self.entry.encoded()), "previous": self.previous}
        _write_tag(tracker, name, INTENT, json.dumps(told))
        try:
            return change()
        except (BadInput, Rejected):
            # Nothing moved, so whoever moves the alias there later must not be taken for this one.
            tracker.delete_registered_model_tag(name, INTENT)
            raise


def move_from_afar(tracker: MlflowClient, name: str, cause: Cause, change: Callable[[], Move], target: str) -> Move:
    """Moves the champion from where the bucket cannot be reached; whoever looks next writes the entry from the intent.

    Args:
        tracker: An MLflow client.
        name: The registered model.
        cause: Who, how and why.
        change: Moves the alias.
        target: The version that it moves to.

    Returns:
        What `change` did.
    """
    if registry.aliases(tracker, name).get(registry.CHAMPION) == target:
        return change()
    _, _, newest = registry.model_tags(tracker, name).get(HEAD, "").partition(" ")
    return Intent(_entry(datetime.now(UTC), target, cause), newest or ledger.NO_ENTRY).carry_out(tracker, name, change)


@dataclass(frozen=True)
class History:
    """The history of one registered model.

    Attributes:
        store: The bucket that it is kept in.
        tracker: An MLflow client.
        name: The registered model.
        now: The time, in UTC.
    """

    store: Store
    tracker: MlflowClient
    name: str
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def contents(self) -> list[tuple[int, bytes]]:
        """Every entry's number and bytes, in order."""
        keys = [each.key for each in self.store.listed(self._prefix)]
        return [(self._number(key), self.store.read(key)) for key in keys]

    def entries(self) -> list[Entry]:
        """Every entry, in order.

        Raises:
            Misconfigured: One of them cannot be read.
        """
        return [self._decoded(number, content) for number, content in self.contents()]

    def problems(self) -> list[str]:
        """What is wrong with the history; nothing where it is whole."""
        head = self._tags().get(HEAD)
        number, _, known = (head or "").partition(" ")
        remembered = (int(number), known) if number.isdigit() else None
        return ledger.problems(self.contents(), remembered)

    def observe(self) -> Entry | None:
        """Writes down a change of the champion that the history does not know yet.

        Returns:
            The entry that was written; None where there was nothing to write.
        """
        for _ in range(_TRIES):
            last, current = self._last(), registry.aliases(self.tracker, self.name).get(registry.CHAMPION)
            if current == (last.after if last else None):
                return None
            entry = ledger.follow(last, self._explained(last, current))
            if self._append(entry):
                log.info("model=%s entry=%d champion=%s way=%s", self.name, entry.number, current, entry.way)
                if entry.way == BY_HAND and entry.before and entry.after:
                    # Whoever moves the alias by hand moves that one alone, and a rollback goes by the other.
                    registry.remember(self.tracker, self.name, entry.before)
                return entry
        raise Unavailable(f"the history of {self.name} is being written by others all the time: try again")

    def move(self, cause: Cause, change: Callable[[], Move], target: str) -> Move:
        """Moves the champion and writes it down.

        Args:
            cause: Who, how and why.
            change: Moves the alias.
            target: The version that it moves to.

        Returns:
            What `change` did.
        """
        self.observe()
        last = self._last()
        if last is not None and last.after == target:
            return change()
        intent = Intent(_entry(self.now(), target, cause), last.hash if last else ledger.NO_ENTRY)
        move = intent.carry_out(self.tracker, self.name, change)
        self.observe()
        return move

    def _explained(self, last: Entry | None, current: str | None) -> Entry:
        """The change to the current champion: as the intent says it, or as one that somebody made by hand."""
        tags = self._tags()
        try:
            intent = json.loads(tags[INTENT])
            entry = Entry(**intent["entry"])
            if entry.after == current and intent["previous"] == (last.hash if last else ledger.NO_ENTRY):
                return entry
        except (KeyError, TypeError, ValueError):
            pass
        if last is None:
            return self._change(current, Cause("unknown", "start", "it was champion when the history began"))
        why = "the alias was moved in MLflow; this is when it was noticed"
        return self._change(current, Cause("somebody with an MLflow account", BY_HAND, why))

    def _change(self, after: str | None, cause: Cause) -> Entry:
        return _entry(self.now(), after, cause)

    def _append(self, entry: Entry) -> bool:
        if not self.store.create(entry.encoded(), f"{self._prefix}{entry.number:08d}.json"):
            return False
        self._refuse_careless_store()
        _write_tag(self.tracker, self.name, HEAD, f"{entry.number} {entry.hash}")
        return True

    def _refuse_careless_store(self) -> None:
        """Two would write the same number in a store that takes a conditional write for any other."""
        self.store.create(b"written once\n", _PROBE)
        if self.store.create(b"written once\n", _PROBE):
            raise Misconfigured(
                "the S3 store ignores If-None-Match, so entries of the history could be lost: take one that knows "
                "conditional writes (AWS, MinIO, SeaweedFS, Ceph)"
            )

    def _last(self) -> Entry | None:
        listed = self.store.listed(self._prefix)
        if not listed:
            return None
        key = listed[-1].key
        return self._decoded(self._number(key), self.store.read(key))

    def _decoded(self, number: int, content: bytes) -> Entry:
        try:
            return ledger.decode(content)
        except ValueError as error:
            raise Misconfigured(
                f"entry {number} of the history of {self.name} cannot be read ({error}): "
                "'trackyard history --verify' tells what is whole"
            ) from error

    def _tags(self) -> dict[str, Any]:
        return registry.model_tags(self.tracker, self.name)

    @property
    def _prefix(self) -> str:
        return f"history/{quote(self.name, safe='')}/"

    def _number(self, key: str) -> int:
        digits = key.removeprefix(self._prefix).removesuffix(".json")
        return int(digits) if digits.isdigit() else 0
