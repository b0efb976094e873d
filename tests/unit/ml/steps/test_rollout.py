"""Which rollout is live, and when a service counts as silent; the service and MLflow are small real servers here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ml.errors import Misconfigured, Unavailable
from ml.steps import rollout
from tests.fakes import Clock, QuietHandler, answering


class Both:
    """The service and MLflow behind one address, answering what a test sets."""

    def __init__(self) -> None:
        self.served: dict[str, Any] = {"name": "m", "version": "2"}
        self.champion: str | None = "2"
        self.tags: dict[str, str] = {}
        self.is_up = True
        self.others: list[dict[str, Any]] = []
        outer = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/api/"):
                    aliases = [{"alias": "champion", "version": outer.champion}] if outer.champion else []
                    tags = [{"key": key, "value": value} for key, value in outer.tags.items()]
                    model = {"name": "m", "aliases": aliases, "tags": tags}
                    found = {"registered_models": [model, *outer.others]}
                    self._answer(found if "/search" in self.path else {"registered_model": model})
                elif outer.is_up:
                    self._answer({"model": outer.served})
                else:
                    self.send_error(500)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.tags[body["key"]] = body["value"]
                self._answer({})

            def _answer(self, value: object) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(value).encode())

        self.handler = Handler
        self.services = rollout.Services("", "", ("me", "secret"))


@pytest.fixture
def both() -> Iterator[Both]:
    found = Both()
    with answering(found.handler) as url:
        found.services = rollout.Services(url, url, ("me", "secret"))
        yield found


def test_a_rollout_of_a_served_champion_becomes_the_live_one(both: Both) -> None:
    live = rollout.roll_out("r1", both.services)

    assert live == {"name": "m", "version": "2", "url": both.services.serving_url}
    assert both.tags == {rollout.TAG: "r1"}


@pytest.mark.parametrize(("champion", "told"), [("3", "not champion 3"), (None, "no champion")])
def test_a_rollout_waits_for_the_champion_and_then_says_how_far_it_came(
    both: Both, champion: str | None, told: str
) -> None:
    both.champion = champion
    clock = Clock()

    with pytest.raises(Unavailable, match=told):
        rollout.roll_out("r1", both.services, patience_s=5, clock=clock, sleep=clock.sleep)

    assert clock.now > 5
    assert both.tags == {}


def look(watch: rollout.Watch) -> dict[str, Any] | None:
    # In a thread of its own: a browser in this process may have left a loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, watch.look()).result()


def test_a_newer_rollout_takes_over(both: Both) -> None:
    watch = rollout.Watch("r1", "m", both.services)
    both.tags[rollout.TAG] = "r1"
    assert look(watch) is None

    both.tags[rollout.TAG] = "r2"

    assert look(watch) == {"end": "taken over", "detail": "rollout r2 took over"}


@pytest.mark.parametrize(("known", "champion", "seen"), [("1", "2", "2"), ("2", "3", "3"), ("2", "", "")])
def test_a_champion_that_moved_is_seen(both: Both, known: str, champion: str, seen: str) -> None:
    both.champion = champion
    watch = rollout.Watch("r1", "m", both.services, champions={"m": known})

    assert look(watch) == {"end": "moved", "moved": {"m": seen}}
    assert look(rollout.Watch("r1", "m", both.services, champions={"m": champion})) is None
    assert look(rollout.Watch("r1", "m", both.services)) is None


def test_a_champion_of_another_model_that_moved_is_seen(both: Both) -> None:
    both.others = [{"name": "n", "aliases": [{"alias": "champion", "version": "7"}]}, {"name": "without"}]

    assert look(rollout.Watch("r1", "m", both.services, champions={"m": "2"})) == {"end": "moved", "moved": {"n": "7"}}
    assert look(rollout.Watch("r1", "m", both.services, champions={"m": "2", "n": "7"})) is None


def test_a_newer_rollout_counts_more_than_a_champion_that_moved(both: Both) -> None:
    both.tags[rollout.TAG] = "r2"

    found = look(rollout.Watch("r1", "m", both.services, champions={"m": "1"}))

    assert found
    assert found["end"] == "taken over"


def test_without_a_champion_there_is_nothing_to_roll_out(both: Both) -> None:
    assert rollout.nothing_to_roll_out(both.services) == ""
    both.champion = None
    assert rollout.nothing_to_roll_out(both.services) == "m has no champion"
    both.is_up = False
    assert rollout.nothing_to_roll_out(both.services) == ""


def test_a_service_is_silent_after_a_minute_and_not_before(both: Both) -> None:
    clock = Clock()
    watch = rollout.Watch("r1", "m", both.services, clock=clock)
    both.is_up = False
    clock.now = 59
    assert look(watch) is None

    clock.now = 60
    ended = look(watch)

    assert ended
    assert ended["end"] == "silent"
    assert "60 s" in ended["detail"]


def test_an_answer_starts_the_minute_anew(both: Both) -> None:
    clock = Clock()
    watch = rollout.Watch("r1", "m", both.services, clock=clock)
    clock.now = 50
    assert look(watch) is None
    both.is_up = False
    clock.now = 100

    assert look(watch) is None


def test_addresses_that_are_not_set_are_named() -> None:
    with pytest.raises(Misconfigured, match="TRACKYARD_SERVING_URL"):
        rollout.Services.from_env({})
