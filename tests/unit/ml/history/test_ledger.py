"""A chain whose every character counts, and who was champion when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml.history import ledger
from ml.history.ledger import Entry


def chain(*versions: str | None) -> list[Entry]:
    """A chain in which the champion becomes one version after the other, one each day of May."""
    entries: list[Entry] = []
    for day, version in enumerate(versions, start=1):
        change = Entry(0, f"2026-05-{day:02d}T12:00:00.000+00:00", "käthe", "DAG run", None, version, "why", str(day))
        entries.append(ledger.follow(entries[-1] if entries else None, change))
    return entries


def written(entries: list[Entry]) -> list[tuple[int, bytes]]:
    return [(entry.number, entry.encoded()) for entry in entries]


def head(entries: list[Entry]) -> tuple[int, str]:
    return entries[-1].number, entries[-1].hash


def test_a_chain_that_was_not_touched_is_whole() -> None:
    entries = chain("1", "2", None, "1")

    assert ledger.problems(written(entries), head(entries)) == []
    assert ledger.problems([], None) == []
    assert [entry.before for entry in entries] == [None, "1", "2", None]
    assert [ledger.decode(entry.encoded()) for entry in entries] == entries


def test_one_changed_character_anywhere_is_noticed() -> None:
    entries = chain("1", "2", "3")
    contents = written(entries)
    for place, (number, content) in enumerate(contents):
        for at in range(len(content)):
            changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            found = ledger.problems([*contents[:place], (number, changed), *contents[place + 1 :]], head(entries))
            assert found, (number, at)


def test_a_chain_that_was_written_anew_is_noticed_by_what_mlflow_remembers() -> None:
    entries, other = chain("1", "2", "3"), chain("1", "2", "4")

    assert ledger.problems(written(other), head(other)) == []
    (found,) = ledger.problems(written(other), head(entries))
    assert "MLflow remembers it" in found
    assert "is gone" in ledger.problems(written(entries[:2]), head(entries))[0]
    assert "does not remember" in ledger.problems(written(entries), None)[0]


def test_a_missing_and_an_exchanged_entry_are_noticed() -> None:
    entries = chain("1", "2", "3")
    contents = written(entries)

    assert ledger.problems([contents[0], contents[2]], head(entries)) == ["entry 2 is missing: the next one there is 3"]
    assert "says that it is number 1" in ledger.problems([(1, contents[0][1]), (2, contents[0][1])], None)[0]
    assert "no entry" in ledger.problems([(1, b"{}")], None)[0]


def test_an_entry_that_begins_elsewhere_is_noticed() -> None:
    first, second = chain("1", "2")
    from dataclasses import replace

    forged = replace(second, before="9").sealed()
    assert "does not begin where" in ledger.problems(written([first, forged]), (2, forged.hash))[0]
    forged = replace(second, previous="0" * 64).sealed()
    assert "does not follow" in ledger.problems(written([first, forged]), (2, forged.hash))[0]


@pytest.mark.parametrize(
    ("moment", "version"),
    [
        (datetime(2026, 5, 1, 11, tzinfo=UTC), "none yet"),
        (datetime(2026, 5, 1, 12, tzinfo=UTC), "1"),
        (datetime(2026, 5, 2, 11, 59, tzinfo=UTC), "1"),
        (datetime(2026, 5, 2, 12, tzinfo=UTC), "2"),
        (datetime(2026, 5, 3, 13, tzinfo=UTC), None),
        (datetime(2027, 1, 1, tzinfo=UTC), "1"),
    ],
)
def test_who_was_champion_when(moment: datetime, version: str | None) -> None:
    entry = ledger.champion_at(chain("1", "2", None, "1"), moment)

    assert (entry.after if entry else "none yet") == version
