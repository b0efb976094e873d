"""What a move of the champion says of itself before it is made, so that whoever looks can write its entry. Pure.

Such an intent is believed for a while only: of one that a crash left behind nobody knows whether it came as far as the
alias, and whoever moves the alias to the same version a day later is somebody else.
"""

from __future__ import annotations

import json
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ml.errors import BadInput
from ml.history import ledger
from ml.history.ledger import Entry

BELIEVED = timedelta(minutes=10)
MOST_LETTERS = 1000
"""The longest reason that is kept."""
_UNKNOWN = "?"
"""The previous release did not say where `previous_champion` pointed; nothing is concluded from that."""
_OF_ENTRY = ("id", "at", "who", "way", "why")
_CONTROLS = ("Cc", "Cs")
"""Control characters and halves of surrogate pairs: what neither a database nor UTF-8 takes."""


@dataclass(frozen=True)
class Cause:
    """Who moves the champion, by which way, and why."""

    who: str
    way: str
    why: str

    def entry(self, now: datetime, after: str | None) -> Entry:
        """A change as it will stand in the history, on one line; what is too long ends in `…`."""
        at = now.astimezone(UTC).isoformat(timespec="milliseconds")
        who, why = shortened(self.who, 250), shortened(self.why, MOST_LETTERS)
        return Entry(0, at, who, self.way, None, after, why, uuid.uuid4().hex)


@dataclass(frozen=True)
class Intent:
    """A move that is about to be made, or was.

    Attributes:
        entry: What will tell of it.
        previous: The hash of the entry that it follows.
        beside: Where `previous_champion` pointed when this was said.
        is_done: Whether the alias was moved, as far as whoever moved it knew.
    """

    entry: Entry
    previous: str
    beside: str | None = None
    is_done: bool = False

    def text(self) -> str:
        """As it is kept until the entry is written."""
        fields = {name: getattr(self.entry, name) for name in _OF_ENTRY}
        fields |= {"after": self.entry.after, "previous": self.previous, "beside": self.beside, "done": self.is_done}
        return json.dumps(fields, ensure_ascii=False)

    def is_about(self, last: Entry | None, current: str | None) -> bool:
        """Whether it leads from the newest entry to the present champion."""
        return self.entry.after == current and self.previous == (last.hash if last else ledger.NO_ENTRY)

    def is_old(self, now: datetime) -> bool:
        """Whether nobody can be at work on it any more."""
        return abs(now - datetime.fromisoformat(self.entry.at)) > BELIEVED

    def may_have_moved(self, last: Entry | None, beside: str | None, now: datetime) -> bool:
        """Whether it can be what moved the alias since the newest entry.

        Our own code moves `previous_champion` first, which points `beside` now; people who move the champion by hand
        leave it alone.
        """
        if self.is_done:
            return True
        before = last.after if last else None
        was_touched = before is None or self.beside == before or self.beside != beside
        return was_touched and not self.is_old(now)


def read(text: str | bytes) -> Intent | None:
    """An intent, also as the previous release wrote it; None where it is none."""
    try:
        fields = json.loads(text)
        if "entry" in fields:
            return Intent(Entry(**fields["entry"]), str(fields["previous"]), _UNKNOWN)
        entry = Entry(0, before=None, after=fields["after"], **{name: str(fields[name]) for name in _OF_ENTRY})
        datetime.fromisoformat(entry.at)
        return Intent(entry, str(fields["previous"]), fields["beside"], bool(fields["done"]))
    except (KeyError, TypeError, ValueError):
        return None


def promoted_tags(entry: Entry) -> Mapping[str, str]:
    """A version's tags that tell who made it champion, why and when, the last being what shows that all are there."""
    return {"promoted.by": entry.who, "promoted.reason": entry.why, "promoted.at": entry.at}


def shortened(text: str, most: int) -> str:
    """Text on one line, without what cannot be kept; where it is longer than allowed it ends in `…`."""
    kept = "".join(" " if unicodedata.category(letter) in _CONTROLS else letter for letter in text)
    words = " ".join(kept.split())
    return words if len(words) <= most else f"{words[: most - 1]}…"


def refuse_long(reason: str) -> None:
    """Refuses, by `BadInput`, a reason that is longer than what is kept."""
    count = len(" ".join(reason.split()))
    if count > MOST_LETTERS:
        raise BadInput(f"the reason has {count:,} characters, and {MOST_LETTERS:,} are kept: shorten it")
