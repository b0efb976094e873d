"""The gate, the approval, the history and what goes back to a version's origin, on the real servers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from mlflow.artifacts import load_text

from ml.data.store import Store
from ml.settings import TaskSettings
from tests.integration.conftest import Trained
from tests.support import PIPELINE, RunningStack, wait_for

APPROVAL = "approve_model_task"


def store_of(running: RunningStack) -> Store:
    return Store.from_settings(TaskSettings.from_env(running.info.client_environ()))


def entry_keys(store: Store, model: str) -> list[str]:
    """The entries of a model's history, in order."""
    return [each.key for each in store.listed(f"history/{model}@") if "intent" not in each.key]


def airflow(running: RunningStack) -> httpx.Client:
    """Airflow's REST API, with the administrator's account."""
    login = running.info.logins()["airflow"]
    account = {"username": login["username"], "password": login["password"]}
    token = httpx.post(f"{login['url']}/auth/token", json=account, timeout=30).json()["access_token"]
    return httpx.Client(base_url=login["url"], headers={"Authorization": f"Bearer {token}"}, timeout=30)


def answer(running: RunningStack, run_id: str, option: str, reason: str) -> None:
    """Answers the run's approval over Airflow's REST API, once it is asked for."""
    wait_for(lambda: running.tasks(run_id)[APPROVAL]["state"] == "awaiting_input", "the approval to be asked for", 240)
    path = f"/api/v2/dags/{PIPELINE}/dagRuns/{quote(run_id)}/taskInstances/{APPROVAL}/-1/hitlDetails"
    body = {"chosen_options": [option], "params_input": {"reason": reason}}
    with airflow(running) as client:
        assert "better than a dummy" in client.get(path).json()["body"]
        client.patch(path, json=body).raise_for_status()


def history(running: RunningStack, model: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = running.cli_json("history", "--model", model)
    return found


@pytest.fixture(scope="session")
def refused_run(running: RunningStack, real_run: Trained) -> str:
    """A run whose version the gate refuses: it is far too strongly regularised."""
    run_id = "refused_by_the_gate"
    assert running.run(run_id, C=0.0001) == "failed"
    return run_id


def test_a_failed_gate_is_shown_told_and_moves_nothing(running: RunningStack, refused_run: str) -> None:
    champion = running.champion()
    (version,) = running.versions(refused_run)
    tasks = running.tasks(refused_run)
    run = running.mlflow_run(refused_run)
    subject, body = running.mail_about(refused_run)

    verdict = json.loads(version.tags["gate.verdict"])

    assert (tasks["promote_model_task"]["state"], tasks["promote_model_task"]["try_number"]) == ("failed", 1)
    assert version.tags["validation"] == "failed"
    assert verdict["passed"] is False
    assert "worse by more than the margin" in verdict["reasons"][0]
    assert f"version {version.version}: refused by the gate" in subject
    assert "worse by more than the margin" in body
    assert run.data.tags["validation"] == "failed"
    assert run.info.status == "FAILED"
    aliases = running.mlflow.get_registered_model("ad-click").aliases
    assert str(version.version) not in {str(each) for each in aliases.values()}
    assert champion != str(version.version)
    whole = json.loads(load_text(f"{run.info.artifact_uri}/gate/verdict.json"))
    assert whole["passed"] is False
    assert "<h2>Checks</h2>" in load_text(f"{run.info.artifact_uri}/gate/verdict.html")


def test_a_refused_version_is_promoted_by_force_alone(running: RunningStack, refused_run: str) -> None:
    (version,) = running.versions(refused_run)

    done = running.cli("promote", str(version.version))

    assert done.returncode == 1
    assert "failed the gate" in done.stderr
    assert running.champion() != str(version.version)


def test_an_approval_is_answered_over_rest_and_refused_is_not_timed_out(running: RunningStack) -> None:
    ask = {"promotion": {"mode": "approve"}, "model": {"name": "asked"}}
    for run_id in ("approved_run", "declined_run"):
        running.trigger(run_id, model_name="asked", rows=400, config=ask)
        answer(running, run_id, "Approve" if run_id == "approved_run" else "Reject", f"said of {run_id}")
        assert running.finished(run_id) == "success"
    running.trigger(
        "forgotten_run",
        model_name="asked",
        # As some JSON writers write a whole number, which Airflow takes.
        rows=400.0,
        config={"promotion": {**ask["promotion"], "approval_hours": 0.001}},
    )
    assert running.finished("forgotten_run") == "failed"

    versions = {run: running.versions(run, "asked")[0] for run in ("approved_run", "declined_run", "forgotten_run")}
    assert running.champion("asked") == str(versions["approved_run"].version)
    assert versions["approved_run"].tags["promotion.approval"] == "approved by admin: said of approved_run"
    assert versions["declined_run"].tags["promotion.approval"] == "refused by admin: said of declined_run"
    assert versions["forgotten_run"].tags["promotion.approval"] == "timed out"
    assert running.tasks("declined_run")[APPROVAL]["state"] == "success"
    assert running.tasks("forgotten_run")[APPROVAL]["state"] == "failed"
    assert running.mlflow_run("forgotten_run").info.status == "FAILED"
    assert "nobody answered" in running.mail_about("forgotten_run")[1]
    (entry,) = history(running, "asked")
    assert (entry["way"], entry["who"], entry["why"]) == (
        "approval",
        "admin",
        "approved by admin: said of approved_run",
    )


def test_a_champion_moved_in_mlflow_is_noticed_by_the_rollout(running: RunningStack, real_run: Trained) -> None:
    was = running.champion()
    other = running.versions(real_run.run_id)[0] if was != real_run.version else None
    if other is None:
        assert running.run("for_the_history") == "success"
        other = running.versions("for_the_history")[0]
        was = running.champion()
    target = str(other.version) if was != str(other.version) else real_run.version
    store = store_of(running)
    running.mlflow.set_registered_model_alias("ad-click", "champion", target)

    def noticed() -> bool:
        last = json.loads(store.read(entry_keys(store, "ad-click")[-1]))
        return (last["after"], last["way"]) == (target, "outside Trackyard")

    # Nobody calls the command line meanwhile.
    wait_for(noticed, "the move to be written into the history")
    assert running.cli("rollback", "--reason", "as it was").returncode == 0
    assert running.champion() == was


def test_the_service_tells_who_promoted_the_live_version_whichever_way_it_was(running: RunningStack) -> None:
    def promoted(version: str, words: str) -> dict[str, str]:
        """What the service tells of that version's promotion, once it is live and that reason is told."""

        def look() -> dict[str, str] | None:
            (found,) = [each for each in running.status()["models"] if each["name"] == "told"]
            told: dict[str, str] = found["promoted"] or {}
            return told if found["version"] == version and words in told.get("reason", "") else None

        return wait_for(look, f"the service to tell who promoted version {version}") or {}

    assert running.run("told_by_the_service", model_name="told", rows=400) == "success"
    by_run = promoted("1", "there was no champion before it")
    first = running.mlflow.get_model_version("told", "1")
    model_id = first.source.removeprefix("models:/")
    running.mlflow.create_model_version("told", first.source, first.run_id, tags=dict(first.tags), model_id=model_id)
    done = running.cli("promote", "2", "--model", "told", "--reason", "it is the same")
    assert done.returncode == 0, done.stderr
    by_command = promoted("2", "it is the same")
    # Nobody calls the command line or runs anything meanwhile.
    running.mlflow.set_registered_model_alias("told", "champion", "1")
    by_hand = promoted("1", "by hand in MLflow")

    entries = history(running, "told")
    assert [entry["way"] for entry in entries] == ["DAG run", "trackyard promote", "outside Trackyard"]
    for told, entry in zip((by_run, by_command, by_hand), entries, strict=True):
        assert (told["by"], told["at"], told["reason"]) == (entry["who"], entry["at"], entry["why"])
        assert entry["sha256"] == first.tags["model.sha256"]
    assert by_run["by"] == f"{PIPELINE} told_by_the_service"
    assert by_hand["by"] == "somebody with an MLflow account"
    assert set(running.mlflow.get_registered_model("told").tags) == {"history.head"}


def test_a_run_id_that_is_used_again_begins_anew(running: RunningStack) -> None:
    def run(seed: int) -> None:
        config = {"data": {"generate": {"rows": 80, "seed": seed}}, "split": {"folds": 0}}
        assert running.run(run_id, model_name="again", note=f"seed {seed}", config=config) == "success"

    # As long as an id may be, so that its folder of logs has a name of 255 bytes: the rollout's is made of it.
    run_id = f"nightly_{'n' * 240}"
    run(1)
    with airflow(running) as client:
        client.delete(f"/api/v2/dags/{PIPELINE}/dagRuns/{run_id}").raise_for_status()
    run(2)

    first, second = running.versions(run_id, "again")
    runs = [running.mlflow.get_run(version.run_id) for version in (first, second)]
    assert [found.data.params["data.generate.seed"] for found in runs] == ["1", "2"]
    assert [found.data.tags["note"] for found in runs] == ["seed 1", "seed 2"]
    assert running.tasks(run_id)["my_trigger_task"]["state"] == "success"
    # What belongs to the first is still found from its version.
    assert running.cli_json("reproduce", "1", "--model", "again")["identical"] is True


def test_verify_notices_one_changed_character(running: RunningStack, real_run: Trained) -> None:
    store = store_of(running)
    assert "is whole" in running.cli("history", "--verify").stdout
    key = entry_keys(store, "ad-click")[0]
    content = store.read(key)

    store.write_bytes(content.replace(b"DAG run", b"DAG rum"), key)
    changed = running.cli("history", "--verify")
    store.write_bytes(content, key)

    assert changed.returncode == 1
    assert "entry 1 was changed" in changed.stderr
    assert running.cli("history", "--verify").returncode == 0


def test_a_version_leads_to_its_origin_and_is_trained_again(running: RunningStack, real_run: Trained) -> None:
    found = running.cli_json("lineage", real_run.version)
    again = running.cli_json("reproduce", real_run.version)
    by_run = running.cli_json("lineage", "--run", real_run.run_id)
    by_data = running.cli_json("lineage", "--data", found["data"]["digest"])

    assert found["dag_run_id"] == real_run.run_id
    assert found["verdict"]["passed"] is True
    assert found["history"][0]["after"] == real_run.version
    assert [row["version"] for row in by_run] == [real_run.version]
    assert real_run.version in {row["version"] for row in by_data}
    assert again == {
        "name": "ad-click", "version": real_run.version, "identical": True, "compared": "coefficients", "count": 11,
        "largest_difference": 0.0,
    }  # fmt: skip


def test_gc_closes_what_a_dead_dag_run_left_open(running: RunningStack, real_run: Trained) -> None:
    experiment = running.mlflow_run(real_run.run_id).info.experiment_id
    tags = {"run_key": "of_nobody", "airflow.dag_id": PIPELINE, "airflow.run_id": "gone_for_good"}
    began = datetime.now(UTC) - timedelta(days=40)
    left = running.mlflow.create_run(experiment, int(began.timestamp() * 1000), tags)
    store = store_of(running)
    store.write_bytes(b"x", "runs/of_nobody_at_all/raw.parquet")

    listed = running.cli_json("gc", "--dry-run", "--older-than", "0")
    assert left.info.run_id in listed["open_runs"]
    assert "runs/of_nobody_at_all/raw.parquet" in listed["unused"]
    assert running.mlflow.get_run(left.info.run_id).info.status == "RUNNING"

    # Other runs of this stack are young; only what is listed as unused is put away here.
    done = running.cli_json("gc")
    store.delete("runs/of_nobody_at_all/raw.parquet")

    assert left.info.run_id in done["open_runs"]
    assert running.mlflow.get_run(left.info.run_id).info.status == "KILLED"
    assert running.champion()
