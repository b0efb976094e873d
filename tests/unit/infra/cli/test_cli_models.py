"""runs, models, promote, rollback and predict, over a real MLflow store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.registry.loading import LoadedModel


@pytest.fixture
def versions(registry) -> Callable[[int], None]:
    """Registers so many versions of ad-click, each from a run of its own."""

    def register(count: int) -> None:
        tracker = registry.tracker
        tracker.create_registered_model("ad-click")
        for number in range(1, count + 1):
            tags = {"airflow.dag_id": "Airflow_Lab2", "airflow.run_id": f"r{number}"}
            run = tracker.create_run("0", tags=tags)
            tracker.log_metric(run.info.run_id, "test_f1", number / 10)
            judged = {**tags, "validation": "passed", "data.digest": f"d{number % 2}", "run_key": f"k{number}"}
            tracker.create_model_version("ad-click", "file:///x", run.info.run_id, tags=judged)
        registry.airflow.listed = [registry.dag_run(f"r{number}", "success") for number in range(count, 0, -1)]

    return register


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


def test_runs_have_what_both_servers_know(registry, versions) -> None:
    versions(2)
    registry.airflow.listed.insert(0, registry.dag_run("r3", "running"))

    found = json.loads(registry("runs", "--json").stdout)

    assert [row["dag_run_id"] for row in found] == ["r3", "r2", "r1"]
    assert found[0]["model"] is None
    assert found[0]["metrics"] == {}
    assert found[1]["model"] == {"name": "ad-click", "version": "2"}
    assert (found[1]["state"], found[1]["duration_s"], found[1]["metrics"]) == ("success", 8.5, {"test_f1": 0.2})
    assert len(registry("runs", "--limit", "1").stdout.splitlines()) == 2


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
    assert registry.clock.seconds >= 5


def test_an_unknown_version_is_one_clear_line(registry, versions) -> None:
    versions(1)

    result = registry("promote", "7")

    assert result.exit_code == 2
    assert result.stderr == "trackyard: ad-click has no version '7': 'trackyard models' lists those it has\n"


def test_an_unknown_model_names_the_known_ones(registry, versions) -> None:
    assert "there is none yet" in registry("promote", "1").stderr

    versions(1)

    assert "there are ad-click" in registry("promote", "1", "--model", "other").stderr


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


def test_predicting_without_a_champion_says_how_to_get_one(registry, versions, tmp_path: Path) -> None:
    versions(1)
    file = tmp_path / "in.csv"
    file.write_text("a\n1\n")

    result = registry("predict", str(file))

    assert result.exit_code == 2
    assert "has no champion yet" in result.stderr
    assert registry("predict", "nowhere.csv").exit_code == 2


class _Half:
    def predict_proba(self, frame: Any) -> Any:
        import numpy as np

        return np.full((len(frame), 2), [0.25, 0.75])


def test_predictions_go_to_a_file_or_to_stdout(registry, versions, tmp_path: Path) -> None:
    versions(3)
    registry("promote", "3")
    registry.champion = LoadedModel(
        name="ad-click",
        version="3",
        run_id="r",
        model_id="m-1",
        pipeline=_Half(),
        inputs={"a": "double"},
        input_example=[],
        sha256="0af3",
    )
    file = tmp_path / "in.csv"
    file.write_text("a,b\n1,x\n")

    assert registry("predict", str(file)).stdout == "a,b,probability,prediction,model_version\n1,x,0.75,1,3\n"
    assert (
        "1 rows scored with ad-click version 3"
        in registry("predict", str(file), "-o", str(tmp_path / "out.csv")).stdout
    )
    assert (tmp_path / "out.csv").read_text().endswith("1,x,0.75,1,3\n")
