"""Every move of the champion is written down once, whoever made it: on a real MLflow store and a bucket in memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from ml.errors import BadInput, Misconfigured, StaleCandidate, TrackerDown
from ml.history import champion_moves, ledger, place, without_store
from ml.history.champion_moves import History
from ml.history.intent import Cause
from ml.registry import versions
from tests.unit.ml.history.conftest import ME, Previous, add_version, by_hand, moves, promote, promoted


def key_of(told: History, number: int) -> str:
    model = told.tracker.get_registered_model(told.name)
    return f"history/{told.name}@{model.creation_timestamp}/{number:08d}.json"


def test_a_move_is_written_with_who_and_why(told: History) -> None:
    assert promote(told, "1").previous is None
    promote(told, "2", Cause("you", "approval", "it is\nnewer"))

    first, second = told.entries()
    assert (first.who, first.way, first.why, first.before, first.after) == ("me", ME.way, "because", None, "1")
    assert (second.who, second.way, second.why, second.before) == ("you", "approval", "it is newer", "1")
    assert told.problems() == []


def test_what_changes_nothing_is_not_written(told: History) -> None:
    promote(told, "1")
    promote(told, "1")

    assert told.observe() is None
    assert len(told.entries()) == 1


def test_a_move_by_hand_is_noticed_once(told: History) -> None:
    promote(told, "1")
    by_hand(told, "3")

    assert told.observe()
    assert told.observe() is None
    told.tracker.delete_registered_model_alias(told.name, "champion")
    told.observe()

    assert moves(told) == [(None, "1", ME.way), ("1", "3", champion_moves.BY_HAND), ("3", None, champion_moves.BY_HAND)]
    assert told.problems() == []


def test_a_move_by_hand_before_ours_is_written_before_ours(told: History) -> None:
    promote(told, "1")
    by_hand(told, "3")

    promote(told, "2")

    assert [after for _, after, _ in moves(told)] == ["1", "3", "2"]


def test_a_champion_from_before_the_history_begins_it(told: History) -> None:
    by_hand(told, "2")

    entry = told.observe()

    assert entry
    assert (entry.way, entry.before, entry.after) == ("start", None, "2")


def test_a_move_whose_writer_died_is_written_as_what_it_was(told: History) -> None:
    promote(told, "1")

    def die() -> versions.Move:
        versions.promote(told.tracker, told.name, "2")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        told.move(Cause("me", "trackyard promote", "and then I died"), die, "2")

    assert told.observe()
    assert told.entries()[-1].why == "and then I died"


def test_an_intention_is_used_once(told: History) -> None:
    promote(told, "1")
    promote(told, "2")
    by_hand(told, "1")
    told.observe()
    by_hand(told, "2")
    told.observe()

    assert [way for _, _, way in moves(told)] == [ME.way, ME.way, champion_moves.BY_HAND, champion_moves.BY_HAND]


def test_a_refused_move_writes_nothing(told: History) -> None:
    with pytest.raises(BadInput):
        promote(told, "77")

    assert told.entries() == []


def test_a_refused_move_is_not_taken_for_a_later_one_by_hand(told: History) -> None:
    promote(told, "1")

    def refuse() -> versions.Move:
        raise StaleCandidate("a newer one is live")

    with pytest.raises(StaleCandidate):
        told.move(ME, refuse, "2")
    by_hand(told, "2")
    told.observe()

    assert told.entries()[-1].way == champion_moves.BY_HAND


def test_many_who_look_at_once_write_one_entry(told: History) -> None:
    by_hand(told, "2")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: told.observe(), range(8)))

    assert [after for _, after, _ in moves(told)] == ["2"]


def test_many_who_move_at_once_lose_no_entry_and_break_no_chain(told: History) -> None:
    def move(number: int) -> None:
        # Whoever finds the alias moved right after it was set says so; the entry is written all the same.
        with suppress(TrackerDown):
            promote(told, str(number % 4 + 1), Cause(f"user {number}", ME.way, ""))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(move, range(12)))
    told.observe()

    assert told.problems() == []
    assert told.entries()[-1].after == versions.aliases(told.tracker, told.name)["champion"]


def test_a_changed_character_a_lost_and_an_added_entry_are_problems(told: History) -> None:
    promote(told, "1")
    promote(told, "2")
    store: Any = told.store
    key = key_of(told, 1)
    whole = store.objects[key]

    store.objects[key] = whole.replace(b'"me"', b'"mi"')
    assert "entry 1 was changed" in told.problems()[0]

    store.objects[key] = whole
    last = store.objects.pop(key_of(told, 2))
    assert "entry 2 is gone" in told.problems()[0]

    store.objects[key_of(told, 2)] = last
    assert told.problems() == []


def test_an_entry_that_cannot_be_read_is_one_clear_line(told: History) -> None:
    promote(told, "1")
    store: Any = told.store
    store.objects[key_of(told, 1)] = b"no"

    for look in (told.entries, told.observe):
        check: Callable[[], Any] = look
        with pytest.raises(Misconfigured, match="history --verify"):
            check()


def test_a_store_without_conditional_writes_is_refused(told: History) -> None:
    store: Any = told.store
    store.is_careless = True

    with pytest.raises(Misconfigured, match="If-None-Match"):
        promote(told, "1")


def test_the_version_tells_who_made_it_champion_when_and_why(told: History) -> None:
    promote(told, "1", Cause("Airflow_Lab2 nightly", "DAG run", "it is better"))
    by_hand(told, "3")
    told.observe()
    first, second = told.entries()

    assert promoted(told, "1") == ("Airflow_Lab2 nightly", first.at, "it is better")
    who, at, why = promoted(told, "3")
    assert (who, at) == ("somebody with an MLflow account", second.at)
    assert "by hand" in why


def test_what_a_writer_that_died_did_not_tell_is_told_by_the_next_look(told: History) -> None:
    promote(told, "1")
    promote(told, "2")
    entry = told.entries()[-1]
    for key in ("by", "at", "reason"):
        told.tracker.delete_model_version_tag(told.name, "2", f"promoted.{key}")

    assert told.observe() is None
    assert promoted(told, "2") == ("me", entry.at, "because")


def head(told: History) -> str:
    return str(told.tracker.get_registered_model(told.name).tags.get(place.HEAD))


@pytest.mark.parametrize("count", [1, 2])
def test_a_head_that_was_left_behind_is_mended_by_the_next_look(told: History, count: int) -> None:
    heads = ["None"]
    for version in range(1, count + 1):
        promote(told, str(version))
        heads.append(head(told))
    if count == 1:
        told.tracker.delete_registered_model_tag(told.name, place.HEAD)
    else:
        told.tracker.set_registered_model_tag(told.name, place.HEAD, heads[-2])

    assert told.problems() == []
    assert told.observe() is None

    assert head(told) == heads[-1]
    change = partial(versions.promote, told.tracker, told.name, "4")
    without_store.move_from_afar(told.tracker, told.name, ME, change, "4")
    told.observe()
    assert told.entries()[-1].way == ME.way


def test_an_entry_whose_answer_was_lost_is_ones_own(told: History) -> None:
    store: Any = told.store
    real = store.create

    def lose(content: bytes, key: str) -> bool:
        real(content, key)
        return False

    store.create = lose
    promote(told, "1")
    store.create = real

    (entry,) = told.entries()
    assert (entry.who, head(told)) == ("me", f"1 {entry.hash}")
    assert promoted(told, "1")[0] == "me"


def test_a_history_that_is_cut_is_not_written_on(told: History) -> None:
    for version in ("1", "2", "3"):
        promote(told, version)
    store: Any = told.store
    del store.objects[key_of(told, 3)]
    kept = dict(store.objects)

    with pytest.raises(Misconfigured, match="entry 3 is gone"):
        promote(told, "4")

    assert versions.aliases(told.tracker, told.name)["champion"] == "3"
    assert store.objects == kept
    assert "entry 3 is gone" in told.problems()[0]


def test_a_history_that_mlflow_forgot_is_not_written_on(told: History) -> None:
    promote(told, "1")
    promote(told, "2")
    told.tracker.delete_registered_model_tag(told.name, place.HEAD)

    with pytest.raises(Misconfigured, match="does not remember"):
        promote(told, "3")


def killed(told: History, version: str) -> None:
    """A promotion whose process was killed before it touched an alias: nothing of it can be taken back."""
    store: Any = told.store
    real, store.delete = store.delete, lambda key: None

    def die() -> versions.Move:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        told.move(Cause("the dead", ME.way, "and then I died"), die, version)
    store.delete = real


def test_what_a_crash_left_is_not_taken_for_a_move_by_hand(told: History) -> None:
    promote(told, "1")
    promote(told, "2")
    killed(told, "3")
    by_hand(told, "3")
    told.observe()

    entry = told.entries()[-1]
    assert (entry.who, entry.way) == (champion_moves.SOMEBODY, champion_moves.BY_HAND)
    assert "trackyard promote by the dead was begun" in entry.why


def test_what_a_crash_left_is_believed_for_minutes_alone(told: History) -> None:
    killed(told, "1")
    by_hand(told, "1")
    later = replace(told, now=lambda: datetime.now(UTC) + timedelta(minutes=11))
    later.observe()

    assert later.entries()[-1].who == champion_moves.SOMEBODY
    store: Any = told.store
    assert not [key for key in store.objects if "intent-" in key]


def test_two_promotions_at_once_keep_their_own_names(told: History) -> None:
    promote(told, "1")

    def overtaken() -> versions.Move:
        promote(told, "3", Cause("the second", ME.way, ""))
        return versions.promote(told.tracker, told.name, "2")

    told.move(Cause("the first", ME.way, ""), overtaken, "2")

    assert [(entry.after, entry.who) for entry in told.entries()[1:]] == [("3", "the second"), ("2", "the first")]
    assert told.problems() == []
    store: Any = told.store
    assert not [key for key in store.objects if "intent-" in key]


def test_nothing_but_a_short_tag_stays_on_the_models_page(told: History) -> None:
    long = Cause("me", ME.way, "説明" * 2000)
    promote(told, "1", long)
    without_store.move_from_afar(
        told.tracker, told.name, long, partial(versions.promote, told.tracker, told.name, "2"), "2"
    )  # fmt: skip
    told.observe()

    tags = told.tracker.get_registered_model(told.name).tags
    assert set(tags) == {place.HEAD}
    assert len(tags[place.HEAD]) < 100
    assert without_store.AFAR not in told.tracker.get_model_version(told.name, "2").tags
    assert [(len(entry.why), entry.why[-1]) for entry in told.entries()] == [(1000, "…")] * 2


def test_an_entry_names_the_file_and_the_logged_model(told: History) -> None:
    add_version(told, "m-five")
    promote(told, "5")

    (entry,) = told.entries()
    assert (entry.sha256, entry.model_id) == ("sha of m-five", "m-five")


def test_an_entry_of_another_version_of_the_same_number_is_not_this_ones(told: History) -> None:
    add_version(told, "m-one")
    promote(told, "5")
    promote(told, "1")

    assert [entry.number for entry in ledger.of_version(told.entries(), "5", "m-one")] == [1, 2]
    assert ledger.of_version(told.entries(), "5", "m-two") == []


def test_a_history_of_the_previous_release_goes_on_where_it_is(told: History) -> None:
    previous = Previous(told)
    previous.write("1")
    previous.write("2")
    previous.intend("2")
    assert told.problems() == []

    assert told.observe() is None
    assert promoted(told, "2")[0] == "me"
    assert champion_moves.OLD_INTENT not in told.tracker.get_registered_model(told.name).tags
    promote(told, "3")

    assert [after for _, after, _ in moves(told)] == ["1", "2", "3"]
    assert told.problems() == []
    told.tracker.rename_registered_model(told.name, f"{told.name}-renamed")
    assert len(replace(told, name=f"{told.name}-renamed").entries()) == 3


def test_a_move_that_the_previous_release_had_begun_is_written_as_what_it_was(told: History) -> None:
    previous = Previous(told)
    previous.write("1")
    previous.intend("2")
    by_hand(told, "2")

    told.observe()

    assert told.entries()[-1].who == "the old one"
    assert champion_moves.OLD_INTENT not in told.tracker.get_registered_model(told.name).tags
