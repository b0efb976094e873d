"""Which model a mail names, however far the run got."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ml import outcome, tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient


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
    key = tracking.run_key(str(tags), str(params))
    run_id = tracking.open_run(client, "model", "r", {"run_key": key})
    tracking.write(client, run_id, params=params, tags=tags)
    context: Any = SimpleNamespace(tracker=client)

    assert outcome._model_of(context, client.get_run(run_id)) == name
