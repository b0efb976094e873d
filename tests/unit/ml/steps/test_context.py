"""What a step finds of its run, and what is written of one that fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import mlflow
import pytest

from ml import steps
from ml.config.loading import resolve
from ml.config.schema import PipelineConfig
from ml.errors import BadInput, ContractViolation, Misconfigured
from ml.settings import TaskSettings
from ml.steps.context import FIRST_TASK, RUN_FILE, TAKEN_BACK, Context, anew, recent, step
from ml.tracking import runs
from ml.values import Column
from tests.fakes import MemoryStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

SETTINGS = TaskSettings.from_env(
    {
        "MLFLOW_TRACKING_URI": "http://m:5000",
        "TRACKYARD_S3_BUCKET": "trackyard",
        "TRACKYARD_AIRFLOW_URL": "http://a:8080",
        "TRACKYARD_MLFLOW_URL": "http://public",
    }
)


def test_a_step_without_settings_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "TRACKYARD_S3_BUCKET"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(Misconfigured, match="TRACKYARD_S3_BUCKET is not set"):
        steps.load("dag", "run", {})


def test_links_are_quoted() -> None:
    context = Context("Airflow_Lab2", "manual__2026-01-01T00:00:00+00:00/x y", SETTINGS)

    assert context.airflow_link() == (
        "http://a:8080/dags/Airflow_Lab2/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00%2Fx%20y"
    )
    assert context.version_link("ad click", "3") == "http://public/#/models/ad%20click/versions/3"
    assert context.path("config.json") == f"runs/{context.key}/config.json"


@pytest.fixture
def bucket(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryStore]:
    """The bucket of steps whose environment names the tests' MLflow."""
    found = MemoryStore()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.get_tracking_uri())
    monkeypatch.setenv("TRACKYARD_S3_BUCKET", "trackyard")
    monkeypatch.setattr(Context, "store", found)
    yield found
    recent.cache_clear()


def _opened(client: MlflowClient, run_id: str, **tags: str) -> str:
    return runs.open_run(client, "model", run_id, {"run_key": runs.run_key("D", run_id), **tags})


def _tags(client: MlflowClient, opened: str) -> dict[str, str]:
    return dict(client.get_run(opened).data.tags)


def test_a_version_has_a_link_once_there_is_one(client: MlflowClient, bucket: MemoryStore) -> None:
    opened = _opened(client, "linked")
    context = Context("D", "linked", SETTINGS)
    context.__dict__["tracker"] = client

    assert list(context.links("m", None)) == ["DAG run in Airflow", "Run in MLflow"]
    links = context.links("m", "3")
    assert links["Model version"] == "http://public/#/models/m/versions/3"
    assert links["Run in MLflow"].endswith(f"/runs/{opened}")


def test_the_run_is_the_one_that_was_left_or_else_the_one_of_the_key(client: MlflowClient, bucket: MemoryStore) -> None:
    opened, other = _opened(client, "mine"), _opened(client, "another's")

    for left in (None, opened, other):
        if left:
            bucket.write_json(left, Context("D", "mine").path(RUN_FILE))
        assert Context("D", "mine").mlflow_run_id == opened


def test_a_run_that_is_nowhere_says_what_to_clear(bucket: MemoryStore) -> None:
    with pytest.raises(BadInput, match="DAG run nowhere has no MLflow run: clear load_data_task and what follows it"):
        _ = Context("D", "nowhere").run


def test_how_columns_were_read_is_unknown_of_a_run_that_did_not_keep_it(bucket: MemoryStore) -> None:
    old, new = Context("D", "old"), Context("D", "new")
    bucket.write_json(
        {"columns": {"age": Column("age", "integer").as_dict()}, "commas": True}, new.path("columns.json")
    )

    assert (old.columns, old.commas, old.described_columns) == (None, False, {})
    assert (new.columns, new.commas) == ({"age": Column("age", "integer")}, True)


def test_the_configuration_is_read_once_until_it_is_forgotten(bucket: MemoryStore) -> None:
    context = Context("D", "configured")
    for name in ("first", "second"):
        config = resolve(PipelineConfig(), {"model": {"name": name}})
        bucket.write_json(config.as_dict(), context.path("config.json"))
        assert context.config.model.name == "first"

    context.forget()

    assert context.config.model.name == "second"


def test_a_task_that_begins_sees_its_run_anew_and_its_links_see_it_as_the_task_did(bucket: MemoryStore) -> None:
    before = recent("D", "r")
    begun = anew("D", "r")

    assert begun is not before
    assert recent("D", "r") is begun


class TimedOut(BaseException):
    """As Airflow's own, no Exception."""


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ContractViolation("no\n column"), "ContractViolation", "no column"),
        (KeyError("x"), "KeyError", "KeyError: 'x'"),
        (TimedOut("too long"), "TimedOut", "TimedOut: too long"),
    ],
)
def test_what_a_step_fails_with_is_written_to_its_run_and_raised(
    client: MlflowClient, bucket: MemoryStore, error: BaseException, kind: str, message: str
) -> None:
    opened = _opened(client, kind)

    @step(FIRST_TASK)
    def fail(context: Context) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail("D", kind)

    assert caught.value is error
    tags = _tags(client, opened)
    assert [tags[f"error.{what}"] for what in ("task", "type", "message")] == [FIRST_TASK, kind, message]


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_step_that_is_stopped_has_not_failed(
    client: MlflowClient, bucket: MemoryStore, stop: type[BaseException]
) -> None:
    opened = _opened(client, stop.__name__)

    @step(FIRST_TASK)
    def fail(context: Context) -> None:
        raise stop

    with pytest.raises(stop):
        fail("D", stop.__name__)

    assert "error.task" not in _tags(client, opened)


def test_a_run_that_somebody_stopped_keeps_its_end(client: MlflowClient, bucket: MemoryStore) -> None:
    opened = _opened(client, "stopped")

    @step(FIRST_TASK)
    def fail(context: Context) -> None:
        context.tracker.set_terminated(opened, "KILLED")
        raise BadInput("too late")

    with pytest.raises(BadInput, match="too late"):
        fail("D", "stopped")

    assert "error.task" not in _tags(client, opened)
    assert client.get_run(opened).info.status == "KILLED"


@pytest.mark.parametrize(("takes_back", "stays"), [(TAKEN_BACK, set()), ((), {"outcome", "error.message"})])
def test_a_step_goes_on_with_its_run_and_takes_back_what_it_says_anew(
    client: MlflowClient, bucket: MemoryStore, takes_back: tuple[str, ...], stays: set[str]
) -> None:
    name = f"again {len(takes_back)}"
    opened = _opened(client, name, **{"outcome": "success", "error.message": "no"})
    client.set_terminated(opened, "FAILED")

    @step("data_preprocessing_task", takes_back=takes_back)
    def work(context: Context, one: int, *, two: int) -> tuple[str, int]:
        return context.mlflow_run_id, one + two

    assert work("D", name, 1, two=2) == (opened, 3)

    run = client.get_run(opened)
    assert run.info.status == "RUNNING"
    assert {"outcome", "error.message"} & set(run.data.tags) == stays
    assert "seconds/data_preprocessing_task" in run.data.metrics
