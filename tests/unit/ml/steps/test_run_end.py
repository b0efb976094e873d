"""Which model a mail names, however far the run got."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ml.steps import run_end
from ml.tracking import runs

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ({"outcome": "success", "report": "done"}, "FINISHED"),
        ({"outcome": "success", "report": "OSError: full"}, "UNREPORTED"),
        ({"outcome": "success", "report": "pending"}, "KILLED"),
        ({"error.task": "promote_model_task", "error.message": "no", "report": "OSError: full"}, "FAILED"),
    ],
)
def test_a_report_that_failed_is_another_end_than_a_decision_that_did(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, tags: dict[str, str], status: str
) -> None:
    key = runs.run_key("Airflow_Lab2", str(tags))
    run_id = runs.open_run(client, "model", "r", {"run_key": key, **tags})
    context = SimpleNamespace(tracker=client, key=key, settings=SimpleNamespace(mlflow_uri="http://m"))
    monkeypatch.setattr(run_end, "anew", lambda *_: context)

    assert run_end.close_run("Airflow_Lab2", str(tags)) == status
    assert client.get_run(run_id).info.status == ("FAILED" if status == "UNREPORTED" else status)


@pytest.mark.parametrize(
    ("tags", "params", "name"),
    [
        ({"model.name": "judged"}, {"model.name": "asked"}, "judged"),
        ({}, {"model.name": "asked"}, "asked"),
        ({}, {}, "model"),
    ],
)
def test_the_runs_own_model_is_named(
    client: MlflowClient, tags: dict[str, str], params: dict[str, str], name: str
) -> None:
    key = runs.run_key(str(tags), str(params))
    run_id = runs.open_run(client, "model", "r", {"run_key": key})
    runs.write(client, run_id, params=params, tags=tags)
    context: Any = SimpleNamespace(tracker=client)

    assert run_end._model_of(context, client.get_run(run_id)) == name
