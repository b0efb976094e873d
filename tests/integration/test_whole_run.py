"""A whole run, step after step as the DAG calls them, on a real MLflow store and a real bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import mlflow.artifacts
import pytest

from infra.stack.info import StackInfo
from ml import steps
from ml.data import store as stores_module
from ml.errors import ApprovalTimedOut, BadInput, Unavailable, UnreadableData
from ml.history.champion_moves import History
from ml.steps import search
from ml.steps.context import Context, recent
from ml.tracking import runs
from tests.support import mlflow_in_sqlite, stores_in

if TYPE_CHECKING:
    from mlflow import MlflowClient

DAG = "Airflow_Lab2"
NAME = "whole"
TUNE = {
    "tune": {"method": "grid", "metric": "roc_auc", "folds": 2, "parameters": {"model.parameters.C": [0.01, 1.0, 3.0]}}
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackInfo]:
    """Stores of this file's own: what its runs leave is nowhere in the stack that other tests look at."""
    with stores_in(tmp_path_factory.mktemp("whole") / "state") as found:
        yield found


@pytest.fixture(scope="module")
def client() -> Iterator[MlflowClient]:
    """An MLflow of this file's own, likewise."""
    with mlflow_in_sqlite() as found:
        yield found


@pytest.fixture(scope="module")
def place(stores: StackInfo, client: MlflowClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the defaults of the tasks, whose variables name the real stores."""
    folder = tmp_path_factory.mktemp("place")
    client.create_experiment(NAME, artifact_location=(folder / "artefacts").as_uri())
    (folder / "pipeline.yaml").write_text(
        json.dumps({"model": {"name": NAME}, "notification": {"to": ["ann@example.com"]}, "split": {"folds": 2}})
    )
    env = {
        **stores.plan.task_env(),
        "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        "TRACKYARD_PIPELINE_FILE": str(folder / "pipeline.yaml"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        # Whoever asked a store before this in the same process left the keys of that one in boto3's own session.
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        runs.client.cache_clear()
        stores_module._shared_client.cache_clear()
        yield folder
        stores_module._shared_client.cache_clear()
        recent.cache_clear()


def _prepared(run_id: str, **params: Any) -> list[int]:
    """The candidates of a run whose data is loaded and split."""
    steps.load(DAG, run_id, params, "2026-01-01T00:00:00+00:00")
    steps.preprocess(DAG, run_id)
    return steps.separate(DAG, run_id)


def _run(run_id: str) -> Any:
    return Context(DAG, run_id).run


@pytest.fixture(scope="module")
def first(place: Path) -> str:
    """The version of a run of the default data, which became champion."""
    assert _prepared("first") == []
    version = steps.evaluate(DAG, "first", steps.train(DAG, "first"))
    assert steps.promote(DAG, "first", version)["champion"] is True
    steps.report(DAG, "first", version)
    return version


def _champion(client: MlflowClient) -> str | None:
    version = client.get_registered_model(NAME).aliases.get("champion")
    return None if version is None else str(version)


def test_the_default_data_becomes_a_champion_and_a_mail(first: str, client: MlflowClient) -> None:
    mail = steps.mail(DAG, "first")
    links = steps.links(DAG, "first")

    assert _champion(client) == first
    assert mail["to"] == ["ann@example.com"]
    assert NAME in mail["subject"]
    assert "test_roc_auc" in mail["html"]
    run = _run("first")
    assert links == {
        "run": Context(DAG, "first").run_link(),
        "model": Context(DAG, "first").version_link(NAME, first),
    }
    kept = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"model_card.md", "confusion_matrix.png", "gate", "data_profile.json", "columns.json"} <= kept
    assert client.get_model_version(NAME, first).description.startswith("# ")
    assert steps.close_run(DAG, "first") == "FINISHED"
    assert run.data.tags["outcome"] == "success"
    assert not [tag for tag in run.data.tags if tag.startswith("error.")]
    # Trained again, as after a kill, it is the same version, and the outcome is to be found anew.
    assert steps.train(DAG, "first") == first
    assert "outcome" not in _run("first").data.tags


def test_a_search_takes_the_best_candidate_and_loses_nothing_by_one_whose_process_dies(
    place: Path, client: MlflowClient
) -> None:
    numbers = _prepared("search", config=TUNE)
    context = Context(DAG, "search")
    # As if its process had been killed twice.
    context.store.write_json({"begun": 2}, context.path("candidates/2.tries.json"))

    worked = [steps.try_candidate(DAG, "search", number) for number in numbers]
    again = steps.try_candidate(DAG, "search", 0)
    version = steps.train(DAG, "search")

    assert worked == [True, True, False]
    assert again is True
    run = _run("search")
    children = {child.data.tags[search.NUMBER_TAG]: child for child in runs.children(client, run)}
    assert {number: child.info.status for number, child in children.items()} == {
        "0": "FINISHED",
        "1": "FINISHED",
        "2": "FAILED",
    }
    assert "ended 2 times without a word" in children["2"].data.tags["error.message"]
    assert (run.data.params["tune.tried"], run.data.params["tune.failed"]) == ("3", "1")
    best = max("01", key=lambda number: children[number].data.metrics["validation_roc_auc"])
    assert run.data.params["tune.best"] == best
    assert run.data.params["model.parameters.C"] == ["0.01", "1.0"][int(best)]
    # Asked again, as after a kill, it is the same version.
    assert steps.train(DAG, "search") == version


def test_a_search_without_a_candidate_that_worked_ends_the_run(place: Path) -> None:
    numbers = _prepared("hopeless", config=TUNE)
    context = Context(DAG, "hopeless")
    for number in numbers:
        context.store.write_json({"begun": 2}, context.path(f"candidates/{number}.tries.json"))
        assert steps.try_candidate(DAG, "hopeless", number) is False

    with pytest.raises(BadInput, match="all 3 candidates of tune failed; the first: its process ended 2 times"):
        steps.train(DAG, "hopeless")

    assert steps.close_run(DAG, "hopeless") == "FAILED"
    assert steps.links(DAG, "hopeless")["model"] is None


def test_a_server_that_is_away_costs_a_candidate_no_try(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = _prepared("away", config=TUNE)
    context = Context(DAG, "away")

    def fail(self: Context, name: str) -> Any:
        raise Unavailable("S3 does not answer")

    monkeypatch.setattr(Context, "part", fail)
    for _ in range(search.MOST_DEATHS + 1):
        with pytest.raises(Unavailable, match="S3 does not answer"):
            steps.try_candidate(DAG, "away", numbers[0])
    monkeypatch.undo()

    assert context.store.read_json(context.path("candidates/0.tries.json")) == {"begun": 0}


def test_what_a_step_fails_with_is_on_the_run_and_in_the_mail_until_a_try_that_works(place: Path) -> None:
    steps.load(DAG, "failed", {})
    context = Context(DAG, "failed")
    context.store.delete(context.path("raw.parquet"))

    with pytest.raises(UnreadableData, match=r"raw\.parquet does not exist: clear load_data_task"):
        steps.preprocess(DAG, "failed")

    tags = _run("failed").data.tags
    assert (tags["error.task"], tags["error.type"]) == ("data_preprocessing_task", "UnreadableData")
    mail = steps.mail(DAG, "failed")
    assert "failed" in mail["subject"]
    assert "raw.parquet does not exist" in mail["html"]
    assert steps.close_run(DAG, "failed") == "FAILED"
    steps.load(DAG, "failed", {})
    assert not [tag for tag in _run("failed").data.tags if tag.startswith("error.")]


def test_a_run_that_never_began_has_a_mail_and_no_pages(place: Path) -> None:
    mail = steps.mail(DAG, "never")

    assert "before its MLflow run was opened" in mail["html"]
    assert steps.links(DAG, "never") == {"run": None, "model": None}
    assert steps.close_run(DAG, "never") == "none"
    with pytest.raises(BadInput, match="DAG run never has no MLflow run: clear load_data_task"):
        steps.preprocess(DAG, "never")


def test_a_run_whose_configuration_wants_no_mail_gets_none(place: Path) -> None:
    steps.load(DAG, "silent", {"config": {"notification": {"on_failure": False}}})

    assert steps.mail(DAG, "silent") == {}


def test_a_champion_that_somebody_moved_is_written_down(first: str, client: MlflowClient) -> None:
    client.delete_registered_model_alias(NAME, "champion")

    assert steps.note_champion(NAME)
    client.set_registered_model_alias(NAME, "champion", first)
    assert steps.note_champion(NAME)

    moves = History(Context(DAG, "first").store, client, NAME).entries()[-2:]
    assert [(move.before, move.after, move.way) for move in moves] == [
        (first, None, "outside Trackyard"),
        (None, first, "outside Trackyard"),
    ]


def test_a_person_is_asked_and_what_they_say_is_done(first: str, client: MlflowClient) -> None:
    _prepared("asked", config={"promotion": {"mode": "approve", "approval_hours": 2}})
    version = steps.evaluate(DAG, "asked", steps.train(DAG, "asked"))

    judged = steps.promote(DAG, "asked", version)
    question = steps.approval(DAG, "asked")

    assert judged["champion"] is False
    assert "an approval is waited for" in judged["reason"]
    assert (question["subject"], question["hours"]) == (f"May {NAME} version {version} go live?", 2)
    assert "data contract" in question["body"]

    with pytest.raises(ApprovalTimedOut, match=r"nobody answered within 2 h .*clear approve_model_task to ask again"):
        steps.unanswered(DAG, "asked")
    assert _run("asked").data.tags["promotion.approval"] == "timed out"
    assert steps.approval(DAG, "asked")["subject"] == question["subject"]
    assert _run("asked").data.tags["promotion.approval"] == "waiting"

    refused = steps.answer(DAG, "asked", False, "ann", "not before Monday")
    assert (refused["champion"], refused["reason"]) == (False, "refused by ann: not before Monday")
    assert _champion(client) == first
    assert client.get_model_version(NAME, version).tags["promotion.approval"] == refused["reason"]
    assert steps.approval(DAG, "asked") == {}

    accepted = steps.answer(DAG, "asked", True, "bob")
    assert accepted == {"version": version, "champion": True, "reason": "approved by bob"}
    assert _champion(client) == version
    assert History(Context(DAG, "asked").store, client, NAME).entries()[-1].who == "bob"
    assert _run("asked").data.tags["outcome"] == "success"
