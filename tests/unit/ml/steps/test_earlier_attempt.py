"""An id of a DAG run that is used again: nothing of the earlier run is taken for the new one's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml.errors import RunClosed
from ml.registry import versions
from ml.steps import earlier_attempt
from ml.steps.earlier_attempt import TRIGGERED_TAG
from ml.tracking import runs
from tests.fakes import MemoryStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

FIRST, SECOND = "2026-05-01T12:00:00+00:00", "2026-05-02T12:00:00.5+00:00"
KEYS = iter(f"{number:032x}" for number in range(100))


class Earlier:
    """A DAG run's MLflow run with a candidate, a registered version, and data."""

    def __init__(self, client: MlflowClient, triggered: str) -> None:
        self.client, self.key = client, next(KEYS)
        self.store: Any = MemoryStore()
        tags = {"run_key": self.key, **({TRIGGERED_TAG: triggered} if triggered else {})}
        self.run_id = runs.open_run(client, "model", "nightly", tags)
        run = client.get_run(self.run_id)
        child = {"run_key": f"{self.key}-3", "mlflow.parentRunId": self.run_id}
        self.child = runs.open_run(client, "model", "candidate 3", child)
        model = client.create_logged_model(run.info.experiment_id, name="m", source_run_id=self.run_id)
        versions.register(client, self.key, model.model_id, self.run_id, {"run_key": self.key})
        self.store.write_json({"seed": 1}, f"runs/{self.key}/config.json")
        self.store.write_json([0.5], f"runs/{self.key}/candidates/3.json")

    def set_aside(self, triggered: str) -> bool:
        return earlier_attempt.set_aside(self.client, self.store, self.key, triggered) is None


@pytest.fixture
def earlier(client: MlflowClient) -> Earlier:
    return Earlier(client, FIRST)


def test_a_new_dag_run_of_the_same_id_finds_nothing_of_the_earlier_one(earlier: Earlier) -> None:
    client, key = earlier.client, earlier.key
    aside = f"{key}-{earlier.run_id[:8]}"

    assert earlier.set_aside(SECOND)

    assert runs.find_run(client, key) is None
    assert runs.find_run(client, f"{key}-3") is None
    assert versions.find_versions(client, key, key) == []
    assert earlier.store.listed(f"runs/{key}/") == []
    found = runs.find_run(client, aside)
    assert found
    assert found.info.run_id == earlier.run_id
    assert [version.version for version in versions.find_versions(client, key, aside)] == [1]
    assert earlier.store.read_json(f"runs/{aside}/config.json") == {"seed": 1}
    assert earlier.store.read_json(f"runs/{aside}/candidates/3.json") == [0.5]
    assert client.get_run(earlier.child).data.tags["run_key"] == f"{aside}-3"


def test_a_try_that_died_on_the_way_is_finished_by_the_next(earlier: Earlier) -> None:
    def die(key: str) -> None:
        raise KeyboardInterrupt

    real, earlier.store.delete = earlier.store.delete, die
    with pytest.raises(KeyboardInterrupt):
        earlier.set_aside(SECOND)
    earlier.store.delete = real

    assert earlier.set_aside(SECOND)
    assert runs.find_run(earlier.client, earlier.key) is None
    assert earlier.store.listed(f"runs/{earlier.key}/") == []
    assert len(earlier.store.listed(f"runs/{earlier.key}-")) == 2


def test_a_task_of_the_earlier_run_that_still_lives_registers_nothing(earlier: Earlier) -> None:
    earlier.set_aside(SECOND)

    with pytest.raises(RunClosed):
        versions.register_while_open(earlier.client, "alive", "m-x", earlier.run_id, {"run_key": earlier.key})


@pytest.mark.parametrize("triggered", ["", FIRST, "2026-05-01T14:00:00+02:00"])
def test_a_task_that_is_tried_again_finds_its_own_run(earlier: Earlier, triggered: str) -> None:
    assert not earlier.set_aside(triggered)
    assert runs.find_run(earlier.client, earlier.key)
    assert earlier_attempt.set_aside(earlier.client, earlier.store, "nobody", SECOND) is None


@pytest.mark.parametrize(("later", "is_another"), [(timedelta(minutes=-1), False), (timedelta(hours=1), True)])
def test_a_run_of_the_previous_release_is_told_by_when_it_was_opened(
    client: MlflowClient, later: timedelta, is_another: bool
) -> None:
    earlier = Earlier(client, "")

    assert earlier.set_aside((datetime.now(UTC) + later).isoformat()) is is_another
