"""Data of people's own, another estimator, a search, and the comparison of what comes out, on the real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support import PIPELINE, RunningStack

ROWS = 400
# Whether the gate lets a version through is not what these runs are about.
ANY_VERSION = ("--set", "promotion.gate.margin=1000")


def customers() -> pd.DataFrame:
    """Rows with numbers, categories (rare ones too), truths, gaps, an id, a constant, a leak, few yes."""
    rng = np.random.default_rng(11)
    age, plan = rng.integers(18, 80, ROWS), rng.choice(["basic", "gold", "pro"], ROWS)
    leaves = (age / 80 + (plan == "basic") + rng.normal(size=ROWS) * 0.6) > 1.9
    city = np.where(np.arange(ROWS) % 150 == 7, "Nowhere", rng.choice(["Bern", "Basel", "Genf"], ROWS))
    return pd.DataFrame(
        {
            "customer_id": rng.permutation(10 * ROWS)[:ROWS],
            "age": age,
            "spent": np.where(rng.random(ROWS) < 0.1, np.nan, rng.random(ROWS).round(3) * 1000 + 0.25),
            "plan": np.where(rng.random(ROWS) < 0.05, None, plan),
            "city": city,
            "is_new": rng.random(ROWS) < 0.5,
            "country": "CH",
            "closed_on": np.where(leaves, "2024-05-01", None),
            "refund": np.where(leaves, 1.5, 0.25) + rng.random(ROWS).round(2),
            "churned": np.where(leaves, "yes", "no"),
        }
    )


@pytest.fixture(scope="session")
def own_run(running: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run of a file that a spreadsheet wrote, by `init` and `run` alone."""
    folder = tmp_path_factory.mktemp("own")
    file, config = folder / "customers.csv.gz", folder / "customers.yaml"
    customers().to_csv(file, sep=";", decimal=",", index=False, encoding="utf-8-sig")
    made = running.cli("init", str(file), "--target", "churned", "--output", str(config), "--add")
    assert made.returncode == 0, made.stderr
    printed = running.cli_json("run", "--config", str(config))
    return {"init": made.stdout, "run": printed, "file": file, "config": config}


def test_init_shows_what_it_found(own_run: dict[str, Any]) -> None:
    shown = own_run["init"]

    for words in ("suspected id", "constant", "suspected leak", "semicolon", "imbalanced", "rare"):
        assert words in shown
    assert own_run["run"]["model"] == {"name": "customers", "version": "1", "champion": True}


def test_a_run_tells_all_that_two_runs_can_differ_in(running: RunningStack, own_run: dict[str, Any]) -> None:
    run_id = own_run["run"]["dag_run_id"]
    assert running.finished(run_id) == "success"
    run = running.mlflow_run(run_id)
    data, files = run.data, {item.path for item in running.mlflow.list_artifacts(run.info.run_id, "images")}

    assert {f"{part}_log_loss" for part in ("train", "validation", "test")} <= set(data.metrics)
    assert {"model.estimator", "split.random_state", "data.csv.delimiter", "tune.method"} <= set(data.params)
    assert {"learning/validation_log_loss", "threshold/f1", "system/cpu_utilization_percentage"} <= set(data.metrics)
    assert {f"seconds/{task}" for task in ("load_data_task", "build_save_model_task")} <= set(data.metrics)
    assert len(running.mlflow.get_metric_history(run.info.run_id, "threshold/f1")) == 51
    assert {"git.dirty", "git.commit", "env.lock_sha256", "data.digest"} <= set(data.tags) | {"git.dirty", "git.commit"}
    assert data.tags["mlflow.loggedImages"] == "true"
    assert len(files) == 16
    assert data.tags["mlflow.note.content"].startswith("# customers, version 1")
    (version,) = running.versions(run_id, "customers")
    assert "## Metrics" in version.description


def test_a_folder_another_estimator_and_a_search_with_a_failed_candidate(
    running: RunningStack, own_run: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "customers"
    folder.mkdir()
    table = customers()
    table.head(200).to_parquet(folder / "part-0.parquet")
    table.tail(200).to_parquet(folder / "part-1.parquet")
    search = {"model.parameters.validation_fraction": [0.2, 1e-6], "model.parameters.max_iter": [20, 40]}

    printed = running.cli_json(
        "run", "--data", str(folder), "--config", str(own_run["config"]),
        "--set", "model.estimator=HistGradientBoostingClassifier", "--set", "model.parameters.early_stopping=true",
        "--set", "tune.method=grid", "--set", f"tune.parameters={json.dumps(search)}", *ANY_VERSION,
    )  # fmt: skip

    states = [task["state"] for task in printed["tasks"] if task["task_id"].startswith("tune_candidate_task[")]
    assert sorted(states) == ["skipped", "skipped", "success", "success"]
    for number in range(4):
        log = "\n".join(running.airflow.task_log(PIPELINE, printed["dag_run_id"], f"tune_candidate_task[{number}]", 1))
        assert f"candidate={number} " in log
    parent = running.mlflow_run(printed["dag_run_id"])
    of_parent = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    children = running.mlflow.search_runs([parent.info.experiment_id], of_parent)
    assert sorted(child.info.status for child in children) == ["FAILED", "FAILED", "FINISHED", "FINISHED"]
    scores = {
        child.data.params["model.parameters.max_iter"]: child.data.metrics["validation_log_loss"]
        for child in children
        if child.info.status == "FINISHED"
    }
    assert parent.data.params["model.parameters.max_iter"] == min(scores, key=lambda key: scores[key])
    assert parent.data.params["model.parameters.validation_fraction"] == "0.2"
    assert (parent.data.params["tune.tried"], parent.data.params["tune.failed"]) == ("4", "2")
    assert len(running.versions(printed["dag_run_id"], "customers")) == 1


def test_runs_are_found_sorted_and_compared(running: RunningStack, own_run: dict[str, Any], tmp_path: Path) -> None:
    first = own_run["run"]["dag_run_id"]
    second = running.cli_json(
        "run", "--data", str(own_run["file"]), "--config", str(own_run["config"]),
        "--set", "model.parameters.C=0.001", "--note", "stiff", *ANY_VERSION,
    )["dag_run_id"]  # fmt: skip
    report = tmp_path / "report.html"

    ordered = running.cli_json("runs", "--model", "customers", "--where", "state=success", "--sort", "test_log_loss")
    told = running.cli_json("compare", first, second, "--html", str(report))
    shown = running.cli("compare", "customers/1", second)

    losses = [row["metrics"]["test_log_loss"] for row in ordered]
    assert losses == sorted(losses, reverse=True)
    assert running.cli_json("runs", "--where", "note=stiff")[0]["dag_run_id"] == second
    assert told["params"]["model.parameters.C"] == ["1.0", "0.001"]
    measure = told["metrics"]["test_log_loss"][1]
    assert (measure["paired"], measure["verdict"]) == (True, "worse")
    assert told["data"]["data.digest"][0] == told["data"]["data.digest"][1]
    for run in map(running.mlflow_run, (first, second)):
        sources = [json.loads(used.dataset.source)["uri"] for used in run.inputs.dataset_inputs]
        assert len(sources) == 3
        assert {source.split("/")[4] for source in sources} == {run.data.tags["run_key"]}
    assert report.read_text().count("data:image/png;base64,") == 16
    assert "model.parameters.C" in shown.stdout
    assert running.cli("compare", first, "nothing").returncode == 2
