"""A move from where the bucket is out of reach lies with the version until somebody writes its entry."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from ml.errors import StaleCandidate
from ml.history import intent, without_store
from ml.history.champion_moves import History
from ml.history.intent import Cause
from ml.history.without_store import AFAR
from ml.registry import versions
from tests.unit.ml.history.conftest import ME, by_hand, moves, promote, promoted


def test_a_move_from_where_the_bucket_is_out_of_reach_is_written_by_the_next_who_looks(told: History) -> None:
    promote(told, "1")
    for version, why in (("2", "better"), ("2", "again"), ("3", "best")):
        change = partial(versions.promote, told.tracker, told.name, version)
        without_store.move_from_afar(told.tracker, told.name, Cause("afar", ME.way, why), change, version)
        told.observe()

    assert moves(told) == [(None, "1", ME.way), ("1", "2", ME.way), ("2", "3", ME.way)]
    assert [(entry.who, entry.why) for entry in told.entries()[1:]] == [("afar", "better"), ("afar", "best")]
    assert told.problems() == []


def _from_afar(told: History, version: str) -> Any:
    change = partial(versions.promote, told.tracker, told.name, version)
    return without_store.move_from_afar(told.tracker, told.name, ME, change, version)


def _said(told: History, version: str) -> intent.Intent | None:
    return intent.read(told.tracker.get_model_version(told.name, version).tags.get(AFAR, ""))


def test_a_move_that_was_made_says_so_and_what_it_followed(told: History) -> None:
    promote(told, "1")
    promote(told, "2")

    move = _from_afar(told, "3")

    said = _said(told, "3")
    assert (move.version, move.previous) == ("3", "2")
    assert said
    assert (said.is_done, said.previous, said.beside) == (True, told.entries()[-1].hash, "1")
    assert promoted(told, "3") == ("me", said.entry.at, "because")


def test_a_move_that_was_refused_is_taken_back(told: History) -> None:
    promote(told, "1")

    def refuse() -> versions.Move:
        assert _said(told, "2")
        raise StaleCandidate("a newer one is live")

    with pytest.raises(StaleCandidate):
        without_store.move_from_afar(told.tracker, told.name, ME, refuse, "2")

    assert _said(told, "2") is None
    assert promoted(told, "2") == (None, None, None)


def test_a_move_that_somebody_else_made_meanwhile_is_not_said_to_be_ones_own(told: History) -> None:
    promote(told, "1")

    def late() -> versions.Move:
        by_hand(told, "2")
        return versions.promote(told.tracker, told.name, "2")

    move = without_store.move_from_afar(told.tracker, told.name, ME, late, "2")

    assert not move.changed
    assert _said(told, "2") is None
    assert promoted(told, "2") == (None, None, None)


def test_a_version_that_is_live_already_is_told_nothing(told: History) -> None:
    promote(told, "1")

    assert not _from_afar(told, "1").changed
    assert _said(told, "1") is None


def test_an_intent_that_is_gone_is_taken_back_all_the_same(told: History) -> None:
    without_store.take_back(told.tracker, told.name, "1")
    without_store.take_back(told.tracker, told.name, "77")
