"""The history of a model's champion as a chain of entries, each with the hash of the one before. Pure.

An entry is one line of JSON in one fixed form. Its hash is over everything else in it, the hash of the entry before
included, so that whoever changes a character of an old entry would have to change every later one as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

NO_ENTRY = "0" * 64
_ADDED = ("sha256", "model_id")


@dataclass(frozen=True)
class Entry:
    """One change of the champion.

    Attributes:
        number: 1 for the first.
        at: When, ISO 8601 in UTC; of a change that was noticed later, when it was noticed.
        way: How: `DAG run`, `approval`, `trackyard promote`, `trackyard rollback`, `outside Trackyard`, `start`.
        before: The version that was champion; None for none.
        after: The version that is.
        id: What tells this change from every other, whoever writes it down.
        previous: The hash of the entry before.
        sha256: Of the file of the version that is champion; empty where that was not recorded, as in old entries.
        model_id: The logged model of that version; empty likewise. A number may come back, when a model is made again.
    """

    number: int
    at: str
    who: str
    way: str
    before: str | None
    after: str | None
    why: str
    id: str
    previous: str = NO_ENTRY
    hash: str = ""
    sha256: str = ""
    model_id: str = ""

    def sealed(self) -> Entry:
        """The entry with its hash."""
        return replace(self, hash=hashlib.sha256(_line({**asdict(self), "hash": ""})).hexdigest())

    def encoded(self) -> bytes:
        """The one form in which it is kept."""
        return _line(asdict(self))


def decode(content: bytes) -> Entry:
    """Reads an entry; raises ValueError where it is none."""
    try:
        return Entry(**json.loads(content))
    except (TypeError, ValueError) as error:
        raise ValueError(f"it is no entry ({error})") from error


def _line(values: dict[str, Any]) -> bytes:
    # What entries did not have from the start is left out where it is empty, so that old ones keep their bytes.
    kept = {key: value for key, value in values.items() if value or key not in _ADDED}
    return json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def follow(last: Entry | None, change: Entry) -> Entry:
    """A change as the next entry of the chain, sealed; what it says came before is what the chain says."""
    if last is None:
        return replace(change, number=1, previous=NO_ENTRY).sealed()
    return replace(change, number=last.number + 1, before=last.after, previous=last.hash).sealed()


def problems(contents: Sequence[tuple[int, bytes]], head: tuple[int, str] | None) -> list[str]:
    """What is wrong with a chain; nothing where it is whole.

    The contents are the entries' numbers, as their names say, and their bytes, in order. The head is number and hash of
    the newest entry as another server remembers it; None where it does not. Whole entries after that one are no
    problem: their writer died, or is at work.
    """
    wrongs: list[str] = []
    previous, hashes = None, {}
    for place, (number, content) in enumerate(contents, start=1):
        if number != place:
            return [*wrongs, f"entry {place} is missing: the next one there is {number}"]
        try:
            entry = decode(content)
        except ValueError as error:
            return [*wrongs, f"entry {number}: {error}"]
        wrong = _wrong(entry, content, number, previous)
        if wrong:
            wrongs.append(f"entry {number} was changed: {wrong}")
        previous, hashes[number] = entry, entry.hash
    if head is not None and hashes.get(head[0]) != head[1]:
        what = "is gone" if head[0] not in hashes else f"has hash {hashes[head[0]][:12]}"
        wrongs.append(f"entry {head[0]} {what}, and MLflow remembers it with {head[1][:12]}")
    # A first entry alone may be one whose writer died before it could tell MLflow.
    if head is None and len(contents) > 1:
        wrongs.append("MLflow does not remember the newest entry: its tag history.head is gone")
    return wrongs


def _wrong(entry: Entry, content: bytes, number: int, previous: Entry | None) -> str:
    if entry.number != number:
        return f"it says that it is number {entry.number}"
    if entry.encoded() != content:
        return "it is not written as entries are"
    if entry.sealed().hash != entry.hash:
        return f"its hash is {entry.sealed().hash[:12]}, and it says {entry.hash[:12]}"
    if entry.previous != (previous.hash if previous else NO_ENTRY):
        return "it does not follow the one before"
    if previous is not None and entry.before != previous.after:
        return "it does not begin where the one before ends"
    return ""


def of_version(entries: Sequence[Entry], version: str, model_id: str) -> list[Entry]:
    """The entries of a chain in which a version became champion or ceased to be it.

    The logged model tells it from another of its number: a model that was deleted and made again counts from 1 anew.
    """
    puts_live = [
        entry.after == version and (not entry.model_id or not model_id or entry.model_id == model_id)
        for entry in entries
    ]
    # The entry after the one that put it live is the one that ended that.
    ends_it = [False, *puts_live]
    return [entry for entry, begins, ends in zip(entries, puts_live, ends_it, strict=False) if begins or ends]


def champion_at(entries: Sequence[Entry], moment: datetime) -> Entry | None:
    """The entry of a chain that was the newest at a moment, which has a time zone; None before the first."""
    earlier = [entry for entry in entries if datetime.fromisoformat(entry.at) <= moment]
    return earlier[-1] if earlier else None
