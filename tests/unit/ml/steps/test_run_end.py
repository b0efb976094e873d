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
