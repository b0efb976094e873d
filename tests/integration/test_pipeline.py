"""The chain from data to a served champion, on the real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from mlflow.artifacts import load_text

from ml.registry.loading import load_verified
from tests.integration.conftest import Trained
from tests.support import PIPELINE, ROLLOUT, RunningStack, wait_for

EXPECTED = {
    "test_accuracy": 0.97,
    "test_roc_auc": 0.985901,
    "test_f1": 0.970492,
    "test_precision": 0.980132,
    "test_recall": 0.961039,
    "test_log_loss": 0.120244,
    "test_brier": 0.030870,
}
TASKS = [
    "load_data_task", "data_preprocessing_task", "separate_data_outputs_task", "build_save_model_task",
    "load_model_task", "promote_model_task", "report_model_task", "send_email", "my_trigger_task", "close_run_task",
]  # fmt: skip


def test_the_real_data_gives_the_known_numbers(real_run: Trained) -> None:
    found = {name: round(real_run.printed["metrics"][name], 6) for name in EXPECTED}

    assert found == EXPECTED


def test_run_prints_the_agreed_json(real_run: Trained) -> None:
    printed = real_run.printed

    assert set(printed) == {"dag_run_id", "state", "duration_s", "tasks", "model", "metrics"}
    assert printed["state"] == "success"
    assert {task["task_id"] for task in printed["tasks"]} >= set(TASKS[:6])
    assert all(set(task) == {"task_id", "state", "duration_s"} for task in printed["tasks"])
    assert printed["model"] == {"name": "ad-click", "version": real_run.version, "champion": True}


def test_every_task_succeeds_at_the_first_try(running: RunningStack, real_run: Trained) -> None:
    running.finished(real_run.run_id)

    tasks = running.tasks(real_run.run_id)

    # Without a search there is no candidate to try.
    assert tasks.pop("tune_candidate_task")["state"] == "skipped"
    found = {name: (task["state"], task["try_number"]) for name, task in tasks.items()}
    # Nobody is asked where promotion.mode is auto.
    assert found.pop("approve_model_task") == ("skipped", 1)
    assert found == dict.fromkeys(TASKS, ("success", 1))


def test_the_version_is_served_and_predicts_what_sklearn_does(
    running: RunningStack, real_run: Trained, advertising: Path, tmp_path: Path
) -> None:
    champion = running.served()
    rows = pd.read_csv(advertising).head(50)
    loaded = load_verified(running.mlflow, "ad-click", champion, tmp_path)

    answer = httpx.post(running.url("/predict"), json={"rows": rows.to_dict("records")}, timeout=60)

    assert answer.status_code == 200, answer.text
    body = answer.json()
    expected = loaded.pipeline.predict_proba(rows[list(loaded.inputs)].astype(float))[:, 1]
    assert body["probabilities"] == pytest.approx(expected.tolist(), abs=1e-12)
    assert body["predictions"] == [int(p > 0.5) for p in expected]
    assert body["model"] == {"name": "ad-click", "version": champion}
    assert answer.headers["X-Model-Version"] == champion
    assert "City" in body["ignored_fields"]


def test_csv_gives_the_same_predictions_as_json(running: RunningStack, real_run: Trained, advertising: Path) -> None:
    rows = pd.read_csv(advertising).head(20).drop(columns=["Clicked on Ad"])
    url = running.url("/predict")

    as_json = httpx.post(url, json={"rows": rows.to_dict("records")}, timeout=60).json()
    as_csv = httpx.post(url, content=rows.to_csv(index=False), headers={"Content-Type": "text/csv"}, timeout=60).json()

    assert as_csv["probabilities"] == as_json["probabilities"]


def test_the_mlflow_run_holds_everything(running: RunningStack, real_run: Trained) -> None:
    running.finished(real_run.run_id)

    run = running.mlflow_run(real_run.run_id)

    assert run.info.run_name == real_run.run_id
    assert run.info.status == "FINISHED"
    assert run.data.params["split.test_size"] == "0.3"
    assert run.data.params["model.parameters.C"] == "1.0"
    assert {"train_accuracy", "test_accuracy", "test_brier"} <= set(run.data.metrics)
    assert run.data.tags["airflow.dag_id"] == PIPELINE
    assert run.data.tags["airflow.url"].endswith(f"/dags/{PIPELINE}/runs/{real_run.run_id}")
    contexts = {dataset.tags[0].value for dataset in run.inputs.dataset_inputs}
    assert contexts == {"raw", "training", "test"}
    assert all(dataset.dataset.digest and dataset.dataset.schema for dataset in run.inputs.dataset_inputs)
    # MLflow shows those side by side that are in no folder.
    files = {item.path for item in running.mlflow.list_artifacts(run.info.run_id) if not item.is_dir}
    assert len([name for name in files if name.endswith(".png")]) == 8
    assert {"model_card.md", "data_profile.json"} <= files


def test_the_version_carries_its_origin_and_a_safe_model(
    running: RunningStack, real_run: Trained, tmp_path: Path
) -> None:
    (version,) = running.versions(real_run.run_id)

    loaded = load_verified(running.mlflow, "ad-click", str(version.version), tmp_path)

    assert version.tags["airflow.run_id"] == real_run.run_id
    assert version.tags["data.digest"] == running.mlflow_run(real_run.run_id).data.tags["data.digest"]
    assert version.tags["model.sha256"] == loaded.sha256
    assert version.tags["validation"] == "passed"
    assert set(loaded.inputs.values()) == {"double"}
    assert len(loaded.input_example) == 5
    kept = running.mlflow.get_logged_model(loaded.model_id).artifact_location
    assert "scikit-learn==" in load_text(f"{kept}/requirements.txt")
    assert not list(tmp_path.rglob("*.pkl"))


def test_tasks_link_to_their_run_and_version(running: RunningStack, real_run: Trained) -> None:
    run = running.mlflow_run(real_run.run_id)

    to_run = running.airflow.xcom(PIPELINE, real_run.run_id, "promote_model_task", "_link_MlflowRunLink")
    to_version = running.airflow.xcom(PIPELINE, real_run.run_id, "promote_model_task", "_link_ModelVersionLink")

    assert to_run.endswith(f"/experiments/{run.info.experiment_id}/runs/{run.info.run_id}")
    assert to_version.endswith(f"/models/ad-click/versions/{real_run.version}")


def test_mail_goes_out_with_metrics_version_and_links(running: RunningStack, real_run: Trained) -> None:
    subject, body = running.mail_about(real_run.run_id)

    assert f"version {real_run.version}" in subject
    assert "0.985901" in body
    assert running.info.urls["mlflow"] in body
    assert running.info.urls["airflow"] in body
    listed = running.cli("mail")
    assert real_run.run_id in listed.stdout


def test_running_a_finished_task_again_makes_no_second_version(running: RunningStack, real_run: Trained) -> None:
    running.finished(real_run.run_id)
    before = [version.version for version in running.versions()]

    running.airflow.clear(PIPELINE, real_run.run_id, ["load_data_task"])
    wait_for(lambda: running.airflow.dag_run(PIPELINE, real_run.run_id)["state"] == "running", "the run to start over")

    assert running.finished(real_run.run_id) == "success"
    assert [version.version for version in running.versions()] == before
    assert running.mlflow_run(real_run.run_id).info.status == "FINISHED"


def test_a_second_run_makes_the_next_version_of_the_default_data(running: RunningStack, real_run: Trained) -> None:
    newest = int(running.versions()[-1].version)

    assert running.run("default_data") == "success"

    (version,) = running.versions("default_data")
    assert int(version.version) == newest + 1
    decision = running.airflow.xcom(PIPELINE, "default_data", "promote_model_task")
    assert decision["version"] == str(version.version)
    assert decision["reason"]


def test_own_data_works_by_configuration_alone(running: RunningStack, tmp_path: Path) -> None:
    rows = 200
    table = pd.DataFrame(
        {
            "size": [None if i % 17 == 0 else float(i % 23) for i in range(rows)],
            "colour": [["red", "green", None][i % 3] for i in range(rows)],
            "answer": ["yes" if i % 23 > 10 else "no" for i in range(rows)],
        }
    )
    file, config = tmp_path / "own.csv", tmp_path / "own.yaml"
    table.to_csv(file, index=False)
    config.write_text(
        "data: {target: answer, positive: 'yes', drop: []}\nschema: {}\nsplit: {stratify: true}\nmodel: {name: own}\n"
    )

    printed = running.cli_json("run", "--data", str(file), "--config", str(config))

    assert printed["model"] == {"name": "own", "version": "1", "champion": True}
    assert printed["metrics"]["test_accuracy"] > 0.8


def test_rollouts_leave_one_active_and_no_queue(running: RunningStack, real_run: Trained) -> None:
    runs = [f"many_{number}" for number in range(2)]
    for run_id in runs:
        running.trigger(run_id)
    for run_id in runs:
        assert running.finished(run_id) == "success"

    def settled() -> bool:
        states = {run["dag_run_id"]: run["state"] for run in running.airflow.dag_runs(ROLLOUT, limit=100)}
        if {"queued", "failed"} & set(states.values()):
            return False
        live = [run_id for run_id, state in states.items() if state == "running"]
        # It wakes for a moment now and then, to look.
        return len(live) == 1 and running.tasks(live[0], ROLLOUT)["start_Flask_API"]["state"] == "deferred"

    wait_for(settled, "one live rollout, deferred")


def test_promote_and_rollback_change_what_is_served(running: RunningStack, real_run: Trained) -> None:
    running.run("other_version", C=0.5)
    (other,) = running.versions("other_version")
    was = running.champion()
    target = str(other.version) if was != str(other.version) else real_run.version

    done = running.cli("promote", target, "--reason", "because a test says so")

    assert done.returncode == 0, done.stderr
    wait_for(lambda: running.status()["model"]["version"] == target, "the promoted version to be served")
    back = running.cli("rollback")
    assert back.returncode == 0, back.stderr
    wait_for(lambda: running.status()["model"]["version"] == was, "the earlier version to be served again")


def test_promotion_in_mlflow_alone_is_served_too(running: RunningStack, real_run: Trained) -> None:
    was = running.champion()
    running.mlflow.set_registered_model_alias("ad-click", "champion", real_run.version)

    wait_for(lambda: running.status()["model"]["version"] == real_run.version, "the version to be served")

    running.mlflow.set_registered_model_alias("ad-click", "champion", was)


def test_runs_and_models_list_what_is_there(running: RunningStack, real_run: Trained) -> None:
    # Other tests' runs may be newer, and by default the newest 20 are listed.
    runs, models = running.cli_json("runs", "--limit", "500"), running.cli_json("models")

    assert any(run.get("dag_run_id") == real_run.run_id for run in runs)
    (model,) = [model for model in models if (model["name"], model["version"]) == ("ad-click", real_run.version)]
    assert {"name", "version", "aliases", "metrics", "run_id", "dag_run_id"} <= set(model)
    assert model["dag_run_id"] == real_run.run_id


def test_predict_scores_a_file_in_its_order(
    running: RunningStack, real_run: Trained, advertising: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scored.csv"

    done = running.cli("predict", str(advertising), "-o", str(out))

    assert done.returncode == 0, done.stderr
    before, after = pd.read_csv(advertising), pd.read_csv(out)
    assert list(after.columns[: len(before.columns)]) == list(before.columns)
    pd.testing.assert_frame_equal(after[before.columns], before)
    answer = httpx.post(running.url("/predict"), json={"rows": before.head(3).to_dict("records")}, timeout=60).json()
    assert after["probability"].head(3).tolist() == pytest.approx(answer["probabilities"], abs=1e-9)


def test_the_pages_tell_of_the_last_run(running: RunningStack, real_run: Trained) -> None:
    wait_for(lambda: running.status()["pipeline"]["last_run"], "the last run to be known")
    last = running.status()["pipeline"]["last_run"]

    page = running.get("/success", headers={"Accept": "text/html"})
    redirected = running.get("/")

    assert last["dag_run_id"] in page.text
    assert redirected.status_code == 302
    assert redirected.headers["Location"] == ("/success" if last["state"] == "success" else "/failure")
    assert running.get("/health").text == "ok"
    assert running.get("/ready").status_code == 200
    as_json: dict[str, Any] = running.get("/success", headers={"Accept": "application/json"}).json()
    assert as_json["model"]["name"] == "ad-click"


def test_status_lists_every_part(running: RunningStack) -> None:
    found = running.cli("status", "--json")

    assert found.returncode == 0, found.stderr
    assert "airflow-scheduler" in json.dumps(json.loads(found.stdout))
