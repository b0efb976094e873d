"""Every move of the champion is written down once, whoever made it: on a real MLflow store and a bucket in memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ml import history, registry
from ml.errors import BadInput, Misconfigured, StaleCandidate, TrackerDown
from ml.history import Cause, History
from tests.unit.ml.memory_store import MemoryStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

ME = Cause("me", "trackyard promote", "because")
NAMES = iter(f"history-{number}" for number in range(100))


@pytest.fixture
def told(client: MlflowClient) -> History:
    """The history of a model with four versions and no champion."""
    name = next(NAMES)
    client.create_registered_model(name)
    for _ in range(4):
        client.create_model_version(name, "file:///x", tags={"run_key": name})
    return History(MemoryStore(), client, name)  # type: ignore[arg-type]


def promote(told: History, version: str, cause: Cause = ME) -> Any:
    return told.move(cause, lambda: registry.promote(told.tracker, told.name, version), version)


def by_hand(told: History, version: str) -> None:
    told.tracker.set_registered_model_alias(told.name, "champion", version)


def moves(told: History) -> list[tuple[str | None, str | None, str]]:
    return [(entry.before, entry.after, entry.way) for entry in told.entries()]


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


def test_a_move_from_where_the_bucket_is_out_of_reach_is_written_by_the_next_who_looks(told: History) -> None:
    promote(told, "1")
    for version, why in (("2", "better"), ("2", "again"), ("3", "best")):
        change = partial(registry.promote, told.tracker, told.name, version)
        history.move_from_afar(told.tracker, told.name, Cause("afar", ME.way, why), change, version)
        told.observe()

    assert moves(told) == [(None, "1", ME.way), ("1", "2", ME.way), ("2", "3", ME.way)]
    assert [(entry.who, entry.why) for entry in told.entries()[1:]] == [("afar", "better"), ("afar", "best")]
    assert told.problems() == []


def test_a_move_by_hand_is_noticed_once(told: History) -> None:
    promote(told, "1")
    by_hand(told, "3")

    assert told.observe()
    assert told.observe() is None
    told.tracker.delete_registered_model_alias(told.name, "champion")
    told.observe()

    assert moves(told) == [(None, "1", ME.way), ("1", "3", history.BY_HAND), ("3", None, history.BY_HAND)]
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

    def die() -> registry.Move:
        registry.promote(told.tracker, told.name, "2")
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

    assert [way for _, _, way in moves(told)] == [ME.way, ME.way, history.BY_HAND, history.BY_HAND]


def test_a_refused_move_writes_nothing(told: History) -> None:
    with pytest.raises(BadInput):
        promote(told, "77")

    assert told.entries() == []


def test_a_refused_move_is_not_taken_for_a_later_one_by_hand(told: History) -> None:
    promote(told, "1")

    def refuse() -> registry.Move:
        raise StaleCandidate("a newer one is live")

    with pytest.raises(StaleCandidate):
        told.move(ME, refuse, "2")
    by_hand(told, "2")
    told.observe()

    assert told.entries()[-1].way == history.BY_HAND


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
    assert told.entries()[-1].after == registry.aliases(told.tracker, told.name)["champion"]


def test_a_changed_character_a_lost_and_an_added_entry_are_problems(told: History) -> None:
    promote(told, "1")
    promote(told, "2")
    store: Any = told.store
    key = f"history/{told.name}/00000001.json"
    whole = store.objects[key]

    store.objects[key] = whole.replace(b'"me"', b'"mi"')
    assert "entry 1 was changed" in told.problems()[0]

    store.objects[key] = whole
    last = store.objects.pop(f"history/{told.name}/00000002.json")
    assert "entry 2 is gone" in told.problems()[0]

    store.objects[f"history/{told.name}/00000002.json"] = last
    assert told.problems() == []


def test_an_entry_that_cannot_be_read_is_one_clear_line(told: History) -> None:
    promote(told, "1")
    store: Any = told.store
    store.objects[f"history/{told.name}/00000001.json"] = b"no"

    for look in (told.entries, told.observe):
        check: Callable[[], Any] = look
        with pytest.raises(Misconfigured, match="history --verify"):
            check()


def test_a_store_without_conditional_writes_is_refused(told: History) -> None:
    store: Any = told.store
    store.is_careless = True

    with pytest.raises(Misconfigured, match="If-None-Match"):
        promote(told, "1")
