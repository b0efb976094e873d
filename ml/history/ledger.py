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
        who: The person or the DAG run.
        way: How: `DAG run`, `approval`, `trackyard promote`, `trackyard rollback`, `outside Trackyard`, `start`.
        before: The version that was champion; None for none.
        after: The version that is.
        why: The reason that was given.
        id: What tells this change from every other, whoever writes it down.
        previous: The hash of the entry before.
        hash: Of this entry.
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
    """Reads an entry.

    Raises:
        ValueError: It is no entry.
    """
    try:
        return Entry(**json.loads(content))
    except (TypeError, ValueError) as error:
        raise ValueError(f"it is no entry ({error})") from error


def _line(found: dict[str, Any]) -> bytes:
    # What entries did not have from the start is left out where it is empty, so that old ones keep their bytes.
    found = {key: value for key, value in found.items() if value or key not in _ADDED}
    return json.dumps(found, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def follow(last: Entry | None, change: Entry) -> Entry:
    """A change as the next entry of the chain, sealed; what it says came before is what the chain says."""
    if last is None:
        return replace(change, number=1, previous=NO_ENTRY).sealed()
    return replace(change, number=last.number + 1, before=last.after, previous=last.hash).sealed()


def problems(contents: Sequence[tuple[int, bytes]], head: tuple[int, str] | None) -> list[str]:
    """What is wrong with a chain; nothing where it is whole.

    Args:
        contents: The entries' numbers, as their names say, and their bytes, in order.
        head: Number and hash of the newest entry as another server remembers it; None where it does not. Whole entries
            after that one are no problem: their writer died, or is at work.
    """
    found: list[str] = []
    previous, hashes = None, {}
    for place, (number, content) in enumerate(contents, start=1):
        if number != place:
            found.append(f"entry {place} is missing: the next one there is {number}")
            return found
        try:
            entry = decode(content)
        except ValueError as error:
            found.append(f"entry {number}: {error}")
            return found
        wrong = _wrong(entry, content, number, previous)
        if wrong:
            found.append(f"entry {number} was changed: {wrong}")
        previous, hashes[number] = entry, entry.hash
    if head is not None and hashes.get(head[0]) != head[1]:
        what = "is gone" if head[0] not in hashes else f"has hash {hashes[head[0]][:12]}"
        found.append(f"entry {head[0]} {what}, and MLflow remembers it with {head[1][:12]}")
    # A first entry alone may be one whose writer died before it could tell MLflow.
    if head is None and len(contents) > 1:
        found.append("MLflow does not remember the newest entry: its tag history.head is gone")
    return found


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
    """The entries in which a version became champion or ceased to be it.

    Args:
        entries: The chain, in order.
        version: Its number.
        model_id: Its logged model: one that was deleted and made again counts its versions from 1 once more.
    """
    found: list[Entry] = []
    before: Entry | None = None
    for entry in entries:
        if _is_of(entry, version, model_id) or (before is not None and _is_of(before, version, model_id)):
            found.append(entry)
        before = entry
    return found


def _is_of(entry: Entry, version: str, model_id: str) -> bool:
    return entry.after == version and (not entry.model_id or not model_id or entry.model_id == model_id)


def champion_at(entries: Sequence[Entry], moment: datetime) -> Entry | None:
    """The entry that was the newest at a moment; None before the first.

    Args:
        entries: The chain, in order.
        moment: With its time zone.
    """
    earlier = [entry for entry in entries if datetime.fromisoformat(entry.at) <= moment]
    return earlier[-1] if earlier else None
