"""What a move says of itself beforehand is read again as it was said, and believed only as long as it can be true."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from ml.errors import BadInput
from ml.history import intent, ledger
from ml.history.intent import Cause, Intent

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SAID = Intent(Cause("käthe", "approval", "it is better").entry(NOON, "2"), "a" * 64, "1")
LAST = ledger.follow(None, Cause("me", "DAG run", "").entry(NOON, "1"))


def test_a_cause_becomes_a_change_on_one_line_in_utc() -> None:
    entry = Cause("a\nb" * 200, "approval", "w " * 1000).entry(NOON.astimezone(timezone(timedelta(hours=2))), "7")

    assert (entry.at, entry.way, entry.before, entry.after) == ("2026-05-01T12:00:00.000+00:00", "approval", None, "7")
    assert (len(entry.who), entry.who[:4], entry.who[-1]) == (250, "a ba", "…")
    assert (len(entry.why), entry.why[-1]) == (1000, "…")
    assert entry.id != Cause("me", "approval", "").entry(NOON, "7").id


@pytest.mark.parametrize("said", [SAID, replace(SAID, beside=None, is_done=True)])
def test_an_intent_is_read_as_it_was_written(said: Intent) -> None:
    assert intent.read(said.text()) == said
    assert intent.read(said.text().encode()) == said


def test_an_intent_of_the_previous_release_is_believed_wherever_the_alias_beside_points() -> None:
    old = intent.read(json.dumps({"entry": asdict(SAID.entry), "previous": LAST.hash}))

    assert old
    assert (old.entry, old.previous, old.is_done) == (SAID.entry, LAST.hash, False)
    assert all(old.may_have_moved(LAST, beside, NOON) for beside in (None, "1", "9"))


@pytest.mark.parametrize("change", [{"at": "yesterday"}, {"done": ...}, {"why": ...}, {"after": ...}])
def test_what_lacks_a_word_or_has_no_moment_is_no_intent(change: dict[str, Any]) -> None:
    fields = {**json.loads(SAID.text()), **change}

    assert intent.read(json.dumps({name: value for name, value in fields.items() if value is not ...})) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '{"entry": {"number": 1}, "previous": ""}', b"\xff"])
def test_what_is_no_intent_is_none(text: str | bytes) -> None:
    assert intent.read(text) is None


def test_it_is_about_the_step_from_the_newest_entry_to_the_champion() -> None:
    said = replace(SAID, previous=LAST.hash)

    assert said.is_about(LAST, "2")
    assert not said.is_about(LAST, "1")
    assert not said.is_about(LAST, None)
    assert not said.is_about(None, "2")
    assert replace(SAID, previous=ledger.NO_ENTRY).is_about(None, "2")


@pytest.mark.parametrize(("minutes", "is_old"), [(0, False), (10, False), (10.1, True), (-10, False), (-10.1, True)])
def test_it_is_old_after_ten_minutes_whichever_clock_is_late(minutes: float, is_old: bool) -> None:
    assert SAID.is_old(NOON + timedelta(minutes=minutes)) is is_old


@pytest.mark.parametrize(
    ("said", "last", "beside", "minutes", "may"),
    [
        (replace(SAID, beside="0"), LAST, "1", 1, True),  # our own code moved the alias beside
        (replace(SAID, beside="0"), LAST, "0", 1, False),  # nobody did
        (replace(SAID, beside="1"), LAST, "1", 1, True),  # it pointed there before
        (replace(SAID, beside="0"), None, "0", 1, True),  # there was nothing to point to
        (replace(SAID, beside="0"), LAST, "1", 11, False),  # long ago
        (replace(SAID, beside="0", is_done=True), LAST, "0", 11, True),  # whoever moved it knew
    ],
)
def test_it_may_have_moved_the_alias_where_the_one_beside_fits_and_it_is_young(
    said: Intent, last: ledger.Entry | None, beside: str, minutes: int, may: bool
) -> None:
    assert said.may_have_moved(last, beside, NOON + timedelta(minutes=minutes)) is may


def test_a_version_tells_when_it_became_champion_last() -> None:
    assert list(intent.promoted_tags(SAID.entry).items()) == [
        ("promoted.by", "käthe"), ("promoted.reason", "it is better"), ("promoted.at", SAID.entry.at)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kept"), [("a\x00b\ud800c\t\n d", "a b c d"), ("abcde", "abcde"), ("abcdef", "abcd…"), ("  ", "")]
)
def test_a_text_is_kept_on_one_line_of_so_many_letters(text: str, kept: str) -> None:
    assert intent.shortened(text, 7 if " " in text else 5) == kept


def test_a_reason_that_would_be_cut_is_refused() -> None:
    intent.refuse_long("a" * 998 + "  \n b")
    with pytest.raises(BadInput, match=r"the reason has 1,001 characters, and 1,000 are kept"):
        intent.refuse_long("a" * 999 + " b")
