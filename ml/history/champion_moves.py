"""Moving the champion so that the history knows, and noticing who else moved it. Effects: MLflow and S3.

The entries lie in the bucket, each written once and never over another (S3's conditional write); the newest one's hash
is a tag in MLflow, so that nobody changes the history without changing two servers. Before our own code moves the alias
it says so (the intent); whoever then looks first, finds the alias moved and the history silent, writes the entry from
that intent. An alias that moved without one was moved by hand. Whatever was written last, the next look completes.
"""

from __future__ import annotations

import getpass
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ml.errors import BadInput, Misconfigured, Unavailable
from ml.history import intent, ledger, without_store
from ml.history import place as history_place
from ml.history.intent import Cause, Intent
from ml.history.ledger import Entry
from ml.history.place import HEAD, Place, head_of
from ml.history.without_store import AFAR
from ml.registry import versions
from ml.registry.loading import SHA256_TAG
from ml.tracking.runs import suppressed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from ml.data.store import Store
    from ml.registry.versions import Move

log = logging.getLogger(__name__)

OLD_INTENT = "history.intent"
"""The registered model's tag in which the previous release kept every intent."""
BY_HAND = "outside Trackyard"
SOMEBODY = "somebody with an MLflow account"
_PROBE = "history/.written-once"
_TRIES = 20


def user() -> str:
    """The name of the account that runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


@dataclass(frozen=True)
class _Seen:
    """What one look saw: the folder, the newest entry, the aliases, the live version, what is about to be done."""

    place: Place
    last: Entry | None
    aliases: dict[str, str]
    live: ModelVersion | None
    intents: tuple[Intent, ...]
    has_old_intent: bool

    @property
    def current(self) -> str | None:
        return self.aliases.get(versions.CHAMPION)

    def is_known(self) -> bool:
        """Whether the newest entry tells of the version that is live."""
        return self.current == (self.last.after if self.last else None)


@dataclass(frozen=True)
class History:
    """The history of one registered model, kept in the store's bucket; `now` gives the time in UTC."""

    store: Store
    tracker: MlflowClient
    name: str
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def entries(self) -> list[Entry]:
        """Every entry, in order; `Place.entries` says what is raised."""
        model = versions.find_model(self.tracker, self.name)
        return history_place.find(self.store, self.tracker, model).entries() if model else []

    def problems(self) -> list[str]:
        """What is wrong with the history; nothing where it is whole."""
        model = versions.find_model(self.tracker, self.name)
        if model is None:
            return []
        return ledger.problems(history_place.find(self.store, self.tracker, model).contents(), head_of(model))

    def observe(self) -> Entry | None:
        """Writes down a change of the champion that the history does not know yet, and returns the entry; else None.

        Raises:
            Misconfigured: The history is not what was written: nothing is written after it.
        """
        return self._observed()[0]

    def _observed(self, mine: str = "") -> tuple[Entry | None, _Seen | None]:
        """What `observe` returns, and the look that found nothing to write; `mine` is the id of one's own change."""
        for _ in range(_TRIES):
            seen = self._look()
            if seen is None:
                return None, None
            if seen.is_known():
                self._complete(seen, seen.last)
                return None, seen
            entry = self._next(seen, mine)
            if seen.place.create(entry):
                self._refuse_careless_store()
                self._remember(entry)
                log.info("model=%s entry=%d champion=%s way=%s", self.name, entry.number, entry.after, entry.way)
                self._complete(seen, entry)
                if entry.way == BY_HAND and entry.before and entry.after:
                    # Whoever moves the alias by hand moves that one alone, and a rollback goes by the other.
                    versions.remember(self.tracker, self.name, entry.before)
                return entry, None
        raise Unavailable(f"the history of {self.name} is being written by others all the time: try again")

    def move(self, cause: Cause, change: Callable[[], Move], target: str) -> Move:
        """Moves the champion to the target by `change`, writes it down, and returns what `change` did.

        Raises:
            BadInput: There is no such model.
            Misconfigured: The history is not what was written: nothing is moved.
        """
        seen = self._observed()[1] or self._look()
        if seen is None:
            raise BadInput(f"no model is called {self.name!r}: 'trackyard models' lists those there are")
        if seen.current == target:
            return change()
        previous = seen.last.hash if seen.last else ledger.NO_ENTRY
        said = Intent(cause.entry(self.now(), target), previous, seen.aliases.get(versions.PREVIOUS))
        key = seen.place.intent_key(said.entry.id)
        self.store.write_bytes(said.text().encode(), key)
        withdraw = partial(self.store.delete, key)
        move = versions.move_announced(self.tracker, self.name, target, change, withdraw)
        self._observed(said.entry.id)
        withdraw()
        return move

    def _look(self) -> _Seen | None:
        model = versions.find_model(self.tracker, self.name)
        if model is None:
            return None
        # What MLflow remembers was read before the entries are: those only become more.
        place = history_place.find(self.store, self.tracker, model)
        last = place.last()
        if head_of(model) != ((last.number, last.hash) if last else None):
            self._mend_head(place, head_of(model), last)
        aliases = {alias: str(version) for alias, version in dict(model.aliases).items()}
        if aliases.get(versions.CHAMPION) != (last.after if last else None):
            # A move that others wrote down meanwhile was made by then, so where the alias points is asked once more.
            aliases = versions.aliases(self.tracker, self.name)
        live = versions.version_or_none(self.tracker, self.name, aliases.get(versions.CHAMPION))
        tags = [str(live.tags[AFAR])] if live and AFAR in live.tags else []
        old = dict(model.tags).get(OLD_INTENT)
        said = [intent.read(text) for text in (*place.intents(), *tags, *([old] if old else []))]
        return _Seen(place, last, aliases, live, tuple(each for each in said if each), old is not None)

    def _mend_head(self, place: Place, head: tuple[int, str] | None, last: Entry | None) -> None:
        """Lets MLflow remember the newest entry, as whoever wrote it had no time to; a chain that is cut stays so."""
        wrong = ledger.problems(place.contents(), head)
        if wrong or last is None:
            raise Misconfigured(
                f"the history of {self.name} is not what was written ({wrong[0]}), so nothing is written after it and "
                f"no version is put live: bring back {place.prefix} from a backup, or, to begin anew, move that folder "
                f"away and delete the model's tag {HEAD}"
            )
        self._remember(last)

    def _remember(self, entry: Entry) -> None:
        versions.put(
            versions.writer(self.tracker).set_registered_model_tag, self.name, HEAD, f"{entry.number} {entry.hash}"
        )

    def _next(self, seen: _Seen, mine: str) -> Entry:
        """The change to the current champion: as an intent says it, or as one that somebody made by hand."""
        # What this process did itself is its own, whatever others wrote down meanwhile.
        own = [each for each in seen.intents if each.entry.id == mine and each.entry.after == seen.current]
        about = [each for each in seen.intents if each.is_about(seen.last, seen.current)]
        beside = seen.aliases.get(versions.PREVIOUS)
        likely = own or [each for each in about if each.may_have_moved(seen.last, beside, self.now())]
        change = min(likely, key=lambda each: each.entry.at).entry if likely else self._by_hand(seen, about)
        live = seen.live
        if live:
            change = replace(change, sha256=str(live.tags.get(SHA256_TAG, "")), model_id=versions.model_id(live))
        return ledger.follow(seen.last, change)

    def _by_hand(self, seen: _Seen, left: list[Intent]) -> Entry:
        way, why = BY_HAND, "the alias was moved by hand in MLflow; this is when it was noticed"
        if seen.last is None:
            way, why = "start", "it was champion when the history began; nothing tells who made it so"
        if left:
            begun = left[0].entry
            why += f"; a {begun.way} by {begun.who} was begun at {begun.at} and not finished"
        return Cause(SOMEBODY, way, why).entry(self.now(), seen.current)

    def _complete(self, seen: _Seen, entry: Entry | None) -> None:
        """What follows an entry: the version tells who made it champion, and what announced the move goes."""
        from mlflow.exceptions import MlflowException

        if entry and seen.live and seen.live.tags.get("promoted.at") != entry.at:
            # The version may be deleted by now.
            with suppressed("RESOURCE_DOES_NOT_EXIST"):
                versions.write_version_tags(
                    self.tracker, self.name, str(seen.live.version), intent.promoted_tags(entry)
                )
        over = [each for each in seen.intents if each.is_old(self.now()) or (entry and each.entry.id == entry.id)]
        for each in over:
            self.store.delete(seen.place.intent_key(each.entry.id))
        if seen.live and AFAR in seen.live.tags and intent.read(seen.live.tags[AFAR]) in (None, *over):
            without_store.take_back(self.tracker, self.name, str(seen.live.version))
        if seen.has_old_intent:
            # Another who looks may have removed it just now.
            with suppress(MlflowException):
                self.tracker.delete_registered_model_tag(self.name, OLD_INTENT)

    def _refuse_careless_store(self) -> None:
        """In a store that ignores the condition of a write two could write the same number, one over the other."""
        self.store.create(b"written once\n", _PROBE)
        if self.store.create(b"written once\n", _PROBE):
            raise Misconfigured(
                "the S3 store ignores If-None-Match, so entries of the history could be lost: take one that knows "
                "conditional writes (AWS, MinIO, SeaweedFS, Ceph)"
            )
