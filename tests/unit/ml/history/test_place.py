"""Each model has one folder for its history, which goes with it and which no other model of its name goes on in."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ml.errors import Misconfigured
from ml.history import ledger, place
from ml.history.champion_moves import History
from ml.history.intent import Cause
from ml.history.place import Place
from tests.fakes import MemoryStore
from tests.unit.ml.history.conftest import ME, Previous, moves, promote, remade


def test_a_renamed_model_keeps_its_history(told: History) -> None:
    promote(told, "1")
    promote(told, "2")
    told.tracker.rename_registered_model(told.name, f"{told.name}-renamed")
    renamed = replace(told, name=f"{told.name}-renamed")

    assert renamed.observe() is None
    assert renamed.problems() == []
    promote(renamed, "3")
    assert [after for _, after, _ in moves(renamed)] == ["1", "2", "3"]
    assert renamed.problems() == []


def test_a_model_that_is_made_again_begins_a_history_of_its_own(told: History) -> None:
    promote(told, "1")
    promote(told, "2")
    before = told.tracker.get_model_version(told.name, "1")
    told.tracker.delete_registered_model(told.name)
    assert told.observe() is None
    remade(told, "m-another")
    promote(told, "1", Cause("another", ME.way, ""))

    assert [(entry.number, entry.who, entry.model_id) for entry in told.entries()] == [(1, "another", "m-another")]
    assert told.problems() == []
    assert before.version == told.tracker.get_model_version(told.name, "1").version


def test_a_model_made_again_does_not_go_on_in_the_old_ones_folder(told: History) -> None:
    previous = Previous(told)
    previous.write("1")
    told.tracker.delete_registered_model(told.name)
    remade(told, "m-another")

    promote(told, "1")

    assert [entry.model_id for entry in told.entries()] == ["m-another"]
    assert told.problems() == []


def _place(*files: str) -> Place:
    """A folder with these files, all of them empty."""
    store: Any = MemoryStore()
    for file in files:
        store.write_bytes(b"", f"history/m@1/{file}")
    return Place(store, "m", "history/m@1/", files)


def _entry(version: str) -> ledger.Entry:
    return ledger.follow(None, ledger.Entry(0, "2026-05-01T12:00:00+00:00", "me", "start", None, version, "", version))


def test_an_entry_is_written_where_no_other_of_its_number_is() -> None:
    folder = _place()

    assert folder.create(_entry("1"))
    # As when the answer was lost.
    assert folder.create(_entry("1"))
    assert not folder.create(_entry("2"))

    assert folder.store.read("history/m@1/00000001.json") == _entry("1").encoded()


def test_only_entries_and_intents_are_read_as_such() -> None:
    intent = f"intent-{'a' * 32}.json"
    folder = _place("00000007.json", "00000007.json.bak", intent, f"x{intent}", "intent-a.json")
    folder.store.write_bytes(b"said", folder.intent_key("a" * 32))

    assert folder.contents() == [(7, b"")]
    assert list(folder.intents()) == [b"said"]


def test_an_intent_that_is_gone_since_the_folder_was_listed_is_none() -> None:
    files = tuple(f"intent-{letter * 32}.json" for letter in "ab")
    folder = _place(*files)
    folder.store.delete(folder.prefix + files[0])

    assert list(folder.intents()) == [b""]


def test_an_entry_that_is_none_is_told_with_its_number_and_model() -> None:
    for look in (_place("00000007.json").last, _place("00000007.json").entries):
        with pytest.raises(Misconfigured, match=r"entry 7 of the history of m cannot be read .*history --verify"):
            look()
    assert _place().last() is None


@pytest.mark.parametrize(
    ("tag", "head"), [("12 abc", (12, "abc")), ("", None), ("abc 12", None), ("-1 abc", None), (None, None)]
)
def test_the_head_is_a_number_and_a_hash_or_none(tag: str | None, head: tuple[int, str] | None) -> None:
    model: Any = SimpleNamespace(tags={} if tag is None else {place.HEAD: tag})

    assert place.head_of(model) == head


def test_a_models_name_is_one_folder_whatever_is_in_it(told: History) -> None:
    name = f"{told.name} 50% & @7"
    told.tracker.rename_registered_model(told.name, name)
    model = told.tracker.get_registered_model(name)

    found = place.find(told.store, told.tracker, model)

    assert found.prefix == f"history/{told.name}%2050%25%20%26%20%407@{model.creation_timestamp}/"
