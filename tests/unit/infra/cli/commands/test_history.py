"""What may be promoted, and what the history says of it; over a real MLflow store and a bucket in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.cli.commands.history import parse_moment
from ml.errors import BadInput, HashMismatch


def _history(cli: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cli("history", "--json").stdout)
    return found


def _fail_the_gate(cli: Any, version: str) -> None:
    cli.tracker.set_model_version_tag("ad-click", version, "validation", "failed")


def test_a_version_that_failed_the_gate_is_refused(registry, versions) -> None:
    versions(2)
    registry("promote", "1")
    _fail_the_gate(registry, "2")

    result = registry("promote", "2")

    assert result.exit_code == 1
    assert "version 2 failed the gate" in result.stderr
    assert str(registry.tracker.get_registered_model("ad-click").aliases["champion"]) == "1"
    assert len(_history(registry)) == 1


def test_force_wants_a_reason_and_then_works(registry, versions) -> None:
    versions(1)
    _fail_the_gate(registry, "1")

    assert registry("promote", "1", "--force").exit_code == 2
    assert registry("promote", "1", "--force", "--reason", "the gate is wrong").exit_code == 0
    assert _history(registry)[0]["why"] == "the gate is wrong"


def test_a_version_that_was_never_judged_is_refused(registry, versions) -> None:
    versions(1)
    registry.tracker.delete_model_version_tag("ad-click", "1", "validation")

    assert "was never judged" in registry("promote", "1").stderr


@pytest.mark.parametrize("arguments", [["promote", "2", "--force", "--reason", "x"], ["rollback"]])
def test_a_file_that_is_not_what_was_recorded_is_refused_even_with_force(registry, versions, arguments) -> None:
    versions(2)
    registry("promote", "2")
    registry("promote", "1")
    registry.refused = HashMismatch("ad-click version 2: its file has sha256 1, and the version says 2")

    result = registry(*arguments)

    assert result.exit_code == 1
    assert "sha256" in result.stderr
    assert len(_history(registry)) == 2


def test_the_history_tells_who_when_from_to_why_and_how(registry, versions) -> None:
    versions(3)
    registry("promote", "1", "--reason", "first")
    registry.today += timedelta(hours=1)
    registry("promote", "2")
    registry("rollback", "--reason", "too many alarms")
    registry.tracker.set_registered_model_alias("ad-click", "champion", "3")

    found = _history(registry)

    assert [(row["from"], row["to"], row["way"], row["why"]) for row in found[:3]] == [
        (None, "1", "trackyard promote", "first"),
        ("1", "2", "trackyard promote", "promoted by hand"),
        ("2", "1", "trackyard rollback", "too many alarms"),
    ]
    assert (found[3]["from"], found[3]["to"], found[3]["way"]) == ("1", "3", "outside Trackyard")
    assert found[0]["at"] == "2026-01-31T09:30:15.000+00:00"
    assert found[0]["who"]
    assert len(registry("history").stdout.splitlines()) == 5


def test_rollback_goes_back_behind_a_move_by_hand(registry, versions) -> None:
    versions(3)
    registry("promote", "1")
    registry("promote", "2")
    registry.tracker.set_registered_model_alias("ad-click", "champion", "3")

    assert registry("rollback").stdout.startswith("ad-click version 2 is champion (before: version 3)")
    assert registry("rollback").stdout.startswith("ad-click version 3 is champion (before: version 2)")
    assert [row["way"] for row in _history(registry)][2:] == ["outside Trackyard"] + ["trackyard rollback"] * 2


def test_verify_notices_one_changed_character(registry, versions) -> None:
    versions(2)
    registry("promote", "1", "--reason", "good")
    registry("promote", "2")
    assert "is whole: 2 entries" in registry("history", "--verify").stdout
    key = registry.store.listed("history/ad-click@")[0].key
    registry.store.objects[key] = registry.store.objects[key].replace(b"good", b"goof")

    result = registry("history", "--verify")

    assert result.exit_code == 1
    assert "entry 1 was changed" in result.stderr


def test_a_model_without_a_champion_has_an_empty_history(registry, versions) -> None:
    versions(1)

    assert "never had a champion" in registry("history").stdout
    assert "whole: 0 entries" in registry("history", "--verify").stdout
    assert registry("champion").exit_code == 1


def test_the_champion_at_a_moment(registry, versions) -> None:
    versions(2)
    registry("promote", "1", "--reason", "first")
    registry.today += timedelta(days=2)
    registry("promote", "2")

    before = registry("champion", "--at", "2026-01-30T12:00Z")
    between = registry("champion", "--at", "2026-02-01T12:00Z")
    now = json.loads(registry("champion", "--json").stdout)

    assert before.exit_code == 1
    assert "had no champion at" in before.stderr
    assert between.stdout.startswith("ad-click version 1 was champion at ")
    assert "trackyard promote" in between.stdout
    assert now["version"] == "2"
    assert registry("champion", "--at", "yesterday").exit_code == 2


def test_a_moment_without_a_zone_is_local_and_z_is_utc() -> None:
    assert parse_moment("2026-05-01T12:00Z") == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert parse_moment("2026-05-01T12:00") == datetime(2026, 5, 1, 12).astimezone()
    with pytest.raises(BadInput):
        parse_moment("noon")
