from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.celery.executors.celery_executor import CeleryExecutor

from infra.servers import resting_executor
from infra.servers.resting_executor import (
    HOLD_S,
    LOOK_EVERY_S,
    LOOK_OFTEN_S,
    REST_S,
    RestingCeleryExecutor,
)


class _World:
    """What the database says at each look, and how long was slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[Any] = []
        self.now = 0.0
        self.changes_at = float("inf")
        monkeypatch.setattr(CeleryExecutor, "heartbeat", lambda executor: None)
        monkeypatch.setattr(resting_executor, "_unfinished", self._look)
        monkeypatch.setattr(resting_executor.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(resting_executor.time, "sleep", self._sleep)

    def _look(self) -> list[Any]:
        return [*self.rows, "a run was asked for"] if self.now >= self.changes_at else list(self.rows)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def round(self, executor: RestingCeleryExecutor) -> float:
        """How long a round of the scheduler's takes."""
        before = self.now
        executor.heartbeat()
        return self.now - before


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> _World:
    return _World(monkeypatch)


@pytest.fixture
def executor() -> RestingCeleryExecutor:
    return RestingCeleryExecutor(parallelism=1)


def test_it_rests_once_a_whole_round_changed_nothing(world: _World, executor: RestingCeleryExecutor) -> None:
    assert [world.round(executor) for _ in range(3)] == [0, REST_S, REST_S]


def test_a_change_ends_the_rest_and_lets_the_next_round_follow_at_once(
    world: _World, executor: RestingCeleryExecutor
) -> None:
    world.round(executor)
    world.changes_at = 3 * LOOK_EVERY_S

    assert world.round(executor) == 3 * LOOK_EVERY_S
    # What ended the rest may be the first of several: this round has seen the change, the next ones rest again.
    assert world.round(executor) == REST_S


def test_what_changes_during_a_round_is_looked_at_in_the_next(world: _World, executor: RestingCeleryExecutor) -> None:
    world.round(executor)
    world.rows.append("a task changed between the scheduler's look and this one")

    assert world.round(executor) == 0


@pytest.mark.parametrize("hands", ["running", "queued_tasks"])
def test_it_looks_often_with_a_task_in_hand(world: _World, executor: RestingCeleryExecutor, hands: str) -> None:
    world.round(executor)
    setattr(executor, hands, {"task": "state"})
    world.changes_at = 3 * LOOK_OFTEN_S

    assert world.round(executor) == pytest.approx(3 * LOOK_OFTEN_S)
    # A process that was lost changes no row.
    assert world.round(executor) == pytest.approx(HOLD_S, abs=LOOK_OFTEN_S)


def test_a_result_is_handed_on_at_once(world: _World, executor: RestingCeleryExecutor) -> None:
    world.round(executor)
    executor.event_buffer = {"task": "success"}

    assert world.round(executor) == 0
