"""A champion is scored again on the candidate's held-out rows, and one that cannot be compared stays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from ml import model_log, registry, tracking
from ml.config import PipelineConfig, resolve
from ml.promotion import judge

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tests.unit.ml.conftest import Fitted

NAME = "judged"


@pytest.fixture(scope="module")
def champion(client: MlflowClient, fitted: Fitted) -> str:
    run = client.get_run(tracking.open_run(client, "model", NAME, {"run_key": NAME}))
    logged = model_log.log_once(client, run, fitted.pipeline, fitted.features)
    tags = {"run_key": NAME, "model.sha256": logged.sha256}
    return registry.register(client, NAME, logged.model_id, run.info.run_id, tags)


def context(client: MlflowClient, features: pd.DataFrame, target: pd.Series, **promotion: Any) -> Any:
    config = resolve(PipelineConfig(), {"model": {"name": NAME}, "promotion": promotion})
    return SimpleNamespace(tracker=client, config=config, test_part=lambda: (features, target))


def test_the_first_version_and_the_champion_itself_are_accepted(client: MlflowClient, fitted: Fitted) -> None:
    here = context(client, fitted.features, fitted.target)

    assert judge(here, "1", {}, None) == (True, "there was no champion before it")
    assert judge(here, "1", {}, "1") == (True, "it is the champion already")


@pytest.mark.parametrize(("auc", "tolerance", "accepted"), [(1.0, 0.0, True), (0.5, 0.0, False), (0.5, 0.6, True)])
def test_a_candidate_must_not_be_worse_on_the_same_rows(
    client: MlflowClient, fitted: Fitted, champion: str, auc: float, tolerance: float, accepted: bool
) -> None:
    here = context(client, fitted.features, fitted.target, metric="test_roc_auc", tolerance=tolerance)

    decision, reason = judge(here, "2", {"test_roc_auc": auc}, champion)

    assert decision is accepted
    assert f"champion version {champion} on the same 300 rows" in reason


def test_a_champion_that_lacks_a_column_stays(client: MlflowClient, fitted: Fitted, champion: str) -> None:
    here = context(client, fitted.features.drop(columns="Age"), fitted.target)

    decision, reason = judge(here, "2", {"test_log_loss": 0.0}, champion)

    assert decision is False
    assert "does not take this data" in reason


def test_a_champion_that_fails_verification_stays(client: MlflowClient, fitted: Fitted, champion: str) -> None:
    right = client.get_model_version(NAME, champion).tags["model.sha256"]
    client.set_model_version_tag(NAME, champion, "model.sha256", "0" * 64)
    try:
        decision, reason = judge(context(client, fitted.features, fitted.target), "2", {"test_log_loss": 0.0}, champion)
    finally:
        client.set_model_version_tag(NAME, champion, "model.sha256", right)

    assert decision is False
    assert "cannot be compared" in reason
