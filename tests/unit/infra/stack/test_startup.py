"""A start: each part once what it needs is ready, and what keeps one from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.stack.health import NotReady
from infra.stack.parts import PARTS, Part
from infra.stack.plan import Plan
from infra.stack.preparation import StackError
from infra.stack.startup import Startup
from tests.fakes import Manager
from tests.support import Silent, plan_of

BY_NAME = {part.name: part for part in PARTS}


class _Ends(Manager):
    """Its part ends again and again, a moment later each time."""

    def __init__(self, state: str) -> None:
        super().__init__()
        self.state, self.asked = state, 0

    def infos(self) -> dict[str, dict[str, Any]]:
        self.asked += 1
        return {"redis": {"statename": self.state, "stop": self.asked}}


def _plan(home: Path, timeout_s: int = 60) -> Plan:
    plan = plan_of(home)
    plan.settings.log_dir.mkdir(parents=True)
    return replace(plan, settings=replace(plan.settings, start_timeout_s=timeout_s))


def _shy() -> Part:
    def look(plan: Plan) -> str:
        raise NotReady("it says nothing")

    return replace(BY_NAME["redis"], check=look, files=None)


@pytest.mark.parametrize(
    ("state", "timeout_s", "said"),
    [
        ("BACKOFF", 60, "redis did not start: it ended at once, 4 times"),
        ("FATAL", 60, "redis did not start: it ended at once, 1 times"),
        ("RUNNING", 0, "redis did not start: not ready after 0 s: it says nothing"),
    ],
)
def test_a_part_that_does_not_come_up_is_named_with_the_end_of_its_log(
    tmp_path: Path, state: str, timeout_s: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, listener, manager = _plan(tmp_path, timeout_s), Silent(), _Ends(state)
    log = plan.settings.log_dir / "redis.log"
    log.write_text("".join(f"line {number}\n" for number in range(20)))
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    with pytest.raises(StackError, match=said) as caught:
        Startup(plan, manager, listener, [_shy()]).run()  # type: ignore[arg-type]

    assert caught.value.hint == [
        *(f"  line {number}" for number in range(12, 20)),
        f"'trackyard logs redis' shows the rest ({log})",
    ]
    assert caught.value.__notes__ == caught.value.hint
    assert listener.parts[-1][:2] == ("redis", "failed")


def test_a_part_waits_for_its_database_and_fails_with_it(tmp_path: Path) -> None:
    def refuse(plan: Plan, timeout_s: float) -> None:
        raise StackError("its database could not be set up")

    plan, listener, manager = _plan(tmp_path), Silent(), _Ends("RUNNING")

    with pytest.raises(StackError, match="its database could not be set up"):
        Startup(plan, manager, listener, [replace(_shy(), before=refuse)]).run()  # type: ignore[arg-type]

    assert listener.parts == [("redis", "waiting", "")]


class _Runner:
    """A process manager that says one thing of every part that was started."""

    def __init__(self, state: str = "RUNNING") -> None:
        self.state = state
        self.started: list[str] = []

    def start_part(self, name: str) -> None:
        self.started.append(name)

    def infos(self) -> dict[str, dict[str, Any]]:
        return {name: {"statename": self.state, "stop": 1} for name in self.started}


def test_parts_start_once_what_they_need_is_ready_and_share_what_is_done_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[float] = []
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    plan, listener, manager = _plan(tmp_path), Silent(), _Runner()
    first = replace(BY_NAME["redis"], check=lambda plan: "fine", before=lambda plan, left: prepared.append(left))
    second = replace(first, name="flower", needs=("redis",), url="flower")

    Startup(plan, manager, listener, [second, first]).run()  # type: ignore[arg-type]

    assert listener.parts == [
        ("flower", "waiting", ""), ("redis", "waiting", ""),
        ("redis", "starting", ""), ("redis", "ready", ""),
        ("flower", "starting", ""), ("flower", "ready", plan.url("flower")),
    ]  # fmt: skip
    assert manager.started == ["redis", "flower"]
    assert len(prepared) == 1
    assert 1 <= prepared[0] <= 60


def test_an_exit_that_is_told_again_and_again_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def look(plan: Plan) -> str:
        nonlocal looks
        looks += 1
        if looks < 10:
            raise NotReady("it starts again")
        return "fine"

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    listener, manager = Silent(), _Runner("BACKOFF")

    Startup(_plan(tmp_path), manager, listener, [replace(_shy(), check=look)]).run()  # type: ignore[arg-type]

    assert listener.parts[-1] == ("redis", "ready", "")
