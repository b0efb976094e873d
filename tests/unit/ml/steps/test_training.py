"""Training registers one version with what it came from; evaluating it says how it does on rows it never saw."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from ml import steps
from ml.errors import HashMismatch, RunClosed
from ml.evaluation import metrics
from ml.steps import evidence
from ml.tracking import runs
from ml.tracking.outcome import PENDING, REPORT
from tests.unit.ml.conftest import Place


def _train(context: object) -> str:
    found: str = steps.train.__wrapped__(context)  # type: ignore[attr-defined]
    return found


def _evaluate(context: object, version: str) -> str:
    found: str = steps.evaluate.__wrapped__(context, version)  # type: ignore[attr-defined]
    return found


def test_a_version_is_registered_with_what_it_came_from(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    place.client.delete_model_version(place.name, "1")
    runs.write(place.client, context.mlflow_run_id, tags={"git.commit": "abc", "note": "not for the version"})

    assert _train(context) == context.version == "2"

    tags = place.tags(context)
    of_run = context.run.data.tags
    assert {name: tags[name] for name in ("run_key", "airflow.dag_id", "airflow.run_id", "git.commit", "data.uri")} == {
        "run_key": context.key, "airflow.dag_id": "Airflow_Lab2", "airflow.run_id": "run 1", "git.commit": "abc",
        "data.uri": "generated",
    }  # fmt: skip
    assert tags["data.digest"] == of_run["data.digest"]
    assert not {"note", "git.dirty"} & set(tags)
    assert len(json.loads(tags["model.example"])) == 5
    assert tags["model.sha256"] == evidence.pull(context, "2").sha256


def test_what_it_learned_from_is_scored_as_such(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    place.client.delete_model_version(place.name, "1")

    pipeline = evidence.pull(context, _train(context)).pipeline

    features, target = context.part("train")
    expected = metrics.metrics(target, metrics.probabilities(pipeline, features), "train")
    assert {name: value for name, value in context.run.data.metrics.items() if name in expected} == expected
    assert not [name for name in context.run.data.metrics if name.startswith("test_")]


def test_a_version_that_an_earlier_try_registered_is_taken(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    context.version = ""

    assert _train(context) == context.version == "1"
    assert context.run.data.metrics == {}


def test_a_run_that_was_closed_registers_nothing(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    place.client.delete_model_version(place.name, "1")
    place.client.set_terminated(context.mlflow_run_id, "KILLED")

    with pytest.raises(RunClosed):
        _train(context)

    assert place.client.search_model_versions(f"name = '{place.name}'") == []


def test_a_version_is_evaluated_on_the_rows_that_were_held_out(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)

    assert _evaluate(context, "1") == "1"

    model = evidence.pull(context, "1")
    features, target = context.part("test")
    expected = metrics.metrics(target, metrics.probabilities(model.pipeline, features), "test")
    assert context.run.data.metrics == expected
    assert {each.key for each in place.client.get_logged_model(model.model_id).metrics} == set(expected)
    assert context.run.data.tags[REPORT] == PENDING


def test_a_file_that_is_not_what_was_trained_is_not_evaluated(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    place.client.set_model_version_tag(place.name, "1", "model.sha256", "0" * 64)

    with pytest.raises(HashMismatch):
        _evaluate(context, "1")

    assert context.run.data.metrics == {}
    assert context.run.data.tags[REPORT] == PENDING
