"""compare, and runs with conditions, over a real MLflow store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.cli.commands import compare
from ml.errors import BadInput


@pytest.fixture
def runs(registry) -> list[str]:
    """Three runs of two models with metrics and parameters; their MLflow ids."""
    tracker, made = registry.tracker, []
    for name in ("ad-click", "other"):
        tracker.create_registered_model(name)
    for number in range(1, 4):
        tags = {"airflow.dag_id": "Airflow_Lab2", "airflow.run_id": f"run_{number}", "data.digest": "d" * 32}
        run_id = tracker.create_run("0", tags=tags).info.run_id
        tracker.log_metric(run_id, "test_f1", number / 10)
        tracker.log_param(run_id, "model.parameters.C", str(number))
        tracker.create_model_version("other" if number == 3 else "ad-click", "file:///x", run_id, tags=tags)
        made.append(run_id)
    registry.airflow.listed = [registry.dag_run(f"run_{number}", "success") for number in (3, 2, 1)]
    return made


def test_a_run_is_found_by_whatever_it_is_called(registry, runs: list[str]) -> None:
    registry.tracker.set_registered_model_alias("ad-click", "champion", "2")
    found = {word: compare.find(registry.tracker, word, "ad-click").info.run_id
             for word in ("run_1", "1", "other/1", "champion", runs[1])}  # fmt: skip

    assert found == {"run_1": runs[0], "1": runs[0], "other/1": runs[2], "champion": runs[1], runs[1]: runs[1]}


@pytest.mark.parametrize("word", ["run_", "nothing", "9", "other/7", "0" * 32, "it's", "a%b", "ad-click/champion/x"])
def test_what_names_no_run_or_several_is_told(registry, runs: list[str], word: str) -> None:
    with pytest.raises(BadInput):
        compare.find(registry.tracker, word, "ad-click")


def test_a_version_whose_run_was_cleared_away_is_one_line(registry, runs: list[str]) -> None:
    registry.tracker.delete_run(runs[0])
    registry.tracker._tracking_client.store._hard_delete_run(runs[0])

    done = registry("compare", "1", "2")

    assert done.exit_code == 2
    assert f"the run of ad-click version 1 ({runs[0]}) is gone" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_compare_tells_what_differs(registry, runs: list[str], tmp_path: Path) -> None:
    report = tmp_path / "report.html"

    found = json.loads(registry("compare", "1", "run_2", "--html", str(report), "--json").stdout)
    shown = registry("compare", "1", "run_2", "other/1").stdout

    assert found["params"] == {"model.parameters.C": ["1", "2"]}
    assert [run["dag_run_id"] for run in found["runs"]] == ["run_1", "run_2"]
    assert found["metrics"]["test_f1"][1]["difference"] == pytest.approx(0.1)
    assert "<h1>Runs compared</h1>" in report.read_text()
    assert "model.parameters.C" in shown
    assert "C (difference from A)" in shown


def test_compare_wants_two_to_eight_runs(registry, runs: list[str]) -> None:
    assert registry("compare", "1").exit_code == 2
    assert registry("compare", *["1"] * 9).exit_code == 2
    assert "no run is called so" in registry("compare", "1", "nothing").stderr


def test_runs_are_chosen_by_conditions_and_sorted(registry, runs: list[str]) -> None:
    def ids(*arguments: str) -> list[str]:
        return [row["dag_run_id"] for row in json.loads(registry("runs", "--json", *arguments).stdout)]

    assert ids("--where", "test_f1>0.1", "--sort", "test_f1") == ["run_3", "run_2"]
    assert ids("--sort", "test_f1", "--ascending") == ["run_1", "run_2", "run_3"]
    assert ids("--model", "ad-click") == ["run_2", "run_1"]
    assert ids("--where", "model.parameters.C=3") == ["run_3"]
    assert ids("--state", "failed") == []
    assert registry("runs", "--where", "test_f2>0").exit_code == 2
    assert registry("runs", "--where", "nonsense").exit_code == 2
