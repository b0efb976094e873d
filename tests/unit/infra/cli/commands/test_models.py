"""`models`, `promote` and `rollback`, over a real MLflow store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def _aliases(cli: Any) -> dict[str, str]:
    return {alias: str(version) for alias, version in cli.tracker.get_registered_model("ad-click").aliases.items()}


def test_models_as_json_have_the_documented_shape(registry, versions) -> None:
    versions(2)
    registry.tracker.set_registered_model_alias("ad-click", "champion", "1")

    found = json.loads(registry("models", "--json").stdout)

    assert [set(row) for row in found] == [{"name", "version", "aliases", "metrics", "run_id", "dag_run_id"}] * 2
    assert [(row["version"], row["aliases"], row["dag_run_id"]) for row in found] == [
        ("2", [], "r2"),
        ("1", ["champion"], "r1"),
    ]
    assert found[0]["metrics"] == {"test_f1": 0.2}


def test_models_are_listed_for_people(registry, versions) -> None:
    assert "no versions yet" in registry("models").stdout

    versions(1)

    assert registry("models").stdout.splitlines()[1].split()[:3] == ["ad-click", "1", "-"]
    assert json.loads(registry("models", "--model", "other", "--json").stdout) == []


def test_promote_moves_the_champion_and_says_so(registry, versions) -> None:
    versions(2)
    registry.service = {"model": {"name": "ad-click", "version": "2"}}
    registry("promote", "1")

    result = registry("promote", "2", "--reason", "it is newer")

    tags = registry.tracker.get_model_version("ad-click", "2").tags
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "ad-click version 2 is champion (before: version 1)",
        "the service at http://127.0.0.1:5555 serves version 2",
    ]
    assert _aliases(registry) == {"champion": "2", "previous_champion": "1"}
    assert tags["promoted.reason"] == "it is newer"
    assert tags["promoted.at"] == "2026-01-31T09:30:15.000+00:00"
    assert tags["promoted.by"]


def test_promoting_the_champion_changes_nothing(registry, versions) -> None:
    versions(1)
    registry("promote", "1", "--reason", "first")

    result = registry("promote", "1", "--reason", "again")

    assert "as it was before" in result.stdout
    assert registry.tracker.get_model_version("ad-click", "1").tags["promoted.reason"] == "first"


def test_a_service_that_lags_is_waited_for_and_told(registry, versions) -> None:
    versions(1)
    registry.service = {"model": {"name": "ad-click", "version": None}}

    result = registry("promote", "1")

    assert "has not loaded it yet (live version: none)" in result.stdout
    assert registry.clock.now >= 5


def test_an_unknown_version_is_one_clear_line(registry, versions) -> None:
    versions(1)

    result = registry("promote", "7")

    assert result.exit_code == 2
    assert result.stderr == "trackyard: ad-click has no version '7': 'trackyard models' lists those it has\n"


def test_rollback_goes_back_and_forth(registry, versions) -> None:
    versions(2)
    registry("promote", "1")
    registry("promote", "2")

    first = registry("rollback").stdout.splitlines()[0]
    second = registry("rollback").stdout.splitlines()[0]

    assert first == "ad-click version 1 is champion (before: version 2)"
    assert second == "ad-click version 2 is champion (before: version 1)"


def test_the_version_that_was_checked_is_the_one_that_a_rollback_goes_to(registry, versions) -> None:
    versions(3)
    registry("promote", "1")
    registry("promote", "2")
    checked: list[str] = []

    def load(tracker: Any, name: str, version: str, workdir: Path) -> None:
        checked.append(version)
        # Meanwhile somebody moves both aliases.
        tracker.set_registered_model_alias(name, "previous_champion", "3")

    registry._load = load
    registry("rollback")

    assert checked == [_aliases(registry)["champion"]] == ["1"]


def test_a_reason_in_any_script_is_kept_whole_and_a_longer_one_refused(registry, versions) -> None:
    versions(2)
    reason = "説明" * 440 + "\x01 \udc80"

    assert registry("promote", "1", "--reason", reason).exit_code == 0
    assert registry.tracker.get_model_version("ad-click", "1").tags["promoted.reason"] == "説明" * 440
    refused = registry("promote", "2", "--reason", "説明" * 501)

    assert refused.exit_code == 2
    assert refused.stderr == "trackyard: the reason has 1,002 characters, and 1,000 are kept: shorten it\n"
    assert _aliases(registry) == {"champion": "1"}


def test_without_a_champion_before_there_is_no_way_back(registry, versions) -> None:
    versions(1)
    registry("promote", "1")

    result = registry("rollback")

    assert result.exit_code == 2
    assert "no champion before this one" in result.stderr
