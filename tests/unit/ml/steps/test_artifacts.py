"""What people look at of an evaluated version: written beside the decision, and as often as asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from mlflow.artifacts import download_artifacts

from ml.evaluation import metrics
from ml.steps import artifacts, evidence
from ml.tracking import runs
from ml.tracking.outcome import Outcome
from tests.unit.ml.conftest import Place, promoted


def test_a_report_beside_the_decision_has_everything_and_says_nothing_of_it(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    promoted(context)
    decided = {name: text for name, text in context.run.data.tags.items() if name.startswith(("promotion.", "outcome"))}

    for _ in range(2):
        artifacts.report.__wrapped__(context, context.version)  # type: ignore[attr-defined]

    tags, run_id = context.run.data.tags, context.mlflow_run_id
    assert {name: text for name, text in tags.items() if name in decided} == decided
    assert Outcome.of(tags).status == "FINISHED"
    assert tags["report"] == "done"
    files = {item.path for item in place.client.list_artifacts(run_id)}
    assert len([name for name in files if name.endswith(".png")]) == 8
    assert {"model_card.md", "images", "tables"} <= files
    assert len(place.client.list_artifacts(run_id, "images")) == 16
    metrics = context.run.data.metrics
    assert {"validation_log_loss", "learning/validation_log_loss", "threshold/f1"} <= set(metrics)
    assert len(place.client.get_metric_history(run_id, "learning/validation_log_loss")) == 3
    card = place.client.get_model_version(place.name, context.version).description
    assert card == tags["mlflow.note.content"][:5000]
    assert f"{metrics['validation_log_loss']:.4f}" in card


def test_a_report_that_is_made_again_is_owed_until_it_is_there(
    place: Place, data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = place.run(data)
    runs.record_error(place.client, context.mlflow_run_id, "report_model_task", "OSError", "full")
    assert context.run.data.tags["report"] == "OSError: full"
    monkeypatch.setattr(evidence, "pull", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        artifacts.report.__wrapped__(context, context.version)  # type: ignore[attr-defined]

    assert context.run.data.tags["report"] == "pending"


def test_the_predictions_stand_beside_their_rows_and_targets(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data.head(120), split={"folds": 2})

    artifacts.report.__wrapped__(context, context.version)  # type: ignore[attr-defined]

    uri = f"{context.run.info.artifact_uri}/{artifacts.PREDICTIONS}"
    found = pd.read_parquet(download_artifacts(uri))
    features, target = context.part("test")
    expected = metrics.probabilities(evidence.pull(context, context.version).pipeline, features)
    assert found["row"].tolist() == context.positions["test"]
    assert found["target"].tolist() == target.tolist()
    assert np.array_equal(found["probability"], expected)
