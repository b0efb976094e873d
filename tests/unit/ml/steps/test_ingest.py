"""The first task, on a real MLflow store and a bucket in memory: what it records of the data, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
import pytest

from ml import steps
from ml.errors import Misconfigured
from ml.settings import TaskSettings
from ml.steps.context import Context
from ml.tracking import runs as tracking
from tests.fakes import MemoryStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

OWN = {"data": {"target": "left"}, "schema": {"age": {"type": "integer"}, "left": {"type": "integer"}}}


class Bucket(MemoryStore):
    """A bucket that data may be read from."""

    def locate(self, uri: str) -> tuple[str, str]:
        return self.bucket, uri.removeprefix(f"s3://{self.bucket}/")


class Place:
    """One tracker and one bucket, and runs whose first task is done there."""

    def __init__(self, client: MlflowClient, folder: Path) -> None:
        self.client, self.bucket = client, Bucket()
        file = folder / "pipeline.yaml"
        file.write_text("model: {name: model}\n")
        names = ("MLFLOW_TRACKING_URI", "TRACKYARD_S3_BUCKET", "TRACKYARD_AIRFLOW_URL", "TRACKYARD_MLFLOW_URL")
        self.settings = TaskSettings.from_env({**dict.fromkeys(names, "x"), "TRACKYARD_PIPELINE_FILE": str(file)})

    def load(self, run_id: str, **params: Any) -> Any:
        """The MLflow run of a DAG run whose data was loaded."""
        context = Context("Airflow_Lab2", run_id, self.settings)
        context.__dict__.update(store=self.bucket, tracker=self.client)
        return self.client.get_run(steps.load.__wrapped__(context, params))  # type: ignore[attr-defined]


@pytest.fixture
def place(client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("TRACKYARD_S3_BUCKET", "trackyard")
    return Place(client, tmp_path)


def test_the_steps_after_it_find_the_run_that_it_opened(place: Place) -> None:
    first = place.load("known", rows=100)
    found = Context("Airflow_Lab2", "known", place.settings)
    found.__dict__.update(store=place.bucket, tracker=place.client)
    assert found.mlflow_run_id == first.info.run_id

    # Somebody deleted it, and cleared the task.
    place.client.delete_run(first.info.run_id)
    second = place.load("known", rows=100)
    again = Context("Airflow_Lab2", "known", place.settings)
    again.__dict__.update(store=place.bucket, tracker=place.client)
    assert again.mlflow_run_id == second.info.run_id != first.info.run_id


def _csv(ages: list[int]) -> bytes:
    return pd.DataFrame({"age": ages, "left": [row % 2 for row in range(len(ages))]}).to_csv(index=False).encode()


def _recorded(run: Any) -> tuple[str, str, str]:
    (used,) = run.inputs.dataset_inputs
    return used.dataset.name, used.dataset.digest, json.loads(used.dataset.source)["uri"]


def test_each_run_shows_its_own_source_of_the_same_data(place: Place) -> None:
    runs = [place.load(f"same-{number}", data=None) for number in range(2)]

    keys = [tracking.run_key("Airflow_Lab2", f"same-{number}") for number in range(2)]
    (name, digest, source), (other_name, other_digest, other_source) = map(_recorded, runs)
    assert [source, other_source] == [f"s3://trackyard/runs/{key}/raw.parquet" for key in keys]
    assert digest == other_digest == runs[0].data.tags["data.digest"]
    assert name == f"generated-1000-rows-seed-42 of run {keys[0][:8]}"
    assert name != other_name


def test_files_that_differ_far_down_are_other_data(place: Place) -> None:
    ages = list(range(20, 80)) * 200
    place.bucket.write_bytes(_csv(ages), "datasets/1/x.csv")
    place.bucket.write_bytes(_csv([*ages[:-1], 20]), "datasets/2/x.csv")

    runs = [place.load(f"far-{n}", data=f"s3://trackyard/datasets/{n}/x.csv", config=OWN) for n in (1, 2)]

    assert runs[0].data.tags["data.rows"] == runs[1].data.tags["data.rows"] == "12000"
    assert runs[0].data.tags["data.digest"] != runs[1].data.tags["data.digest"]


def test_a_task_that_is_done_again_adds_no_data_set(place: Place) -> None:
    first, again = place.load("twice", data=None), place.load("twice", data=None)

    assert first.info.run_id == again.info.run_id
    assert _recorded(first) == _recorded(again)


def test_a_data_set_with_a_very_long_name_is_recorded(place: Place) -> None:
    key = f"datasets/1/{'x' * 700}.csv"
    place.bucket.write_bytes(_csv(list(range(20, 60))), key)

    run = place.load("long", data=f"s3://trackyard/{key}", config=OWN)

    assert len(_recorded(run)[0]) < 500


def test_a_configuration_of_other_data_without_an_address_says_what_is_missing(place: Place) -> None:
    with pytest.raises(Misconfigured, match="no column 'left', 'age': name the data with --data"):
        place.load("nameless", data=None, config=OWN)

    assert not any(name.endswith("raw.parquet") for name in place.bucket.objects)


def test_a_table_of_very_many_columns_is_recorded_without_the_list_of_them(client: MlflowClient) -> None:
    run = client.create_run(client.get_experiment_by_name("model").experiment_id)  # type: ignore[union-attr]
    columns = [f"{'expression level of a gene ' * 8}{number}" for number in range(4_000)]
    frame = pd.DataFrame(0.5, index=range(3), columns=columns)
    about = tracking.TableNote("genes", "s3://trackyard/x.parquet", "raw", "ill", "0af3" * 8)

    digest = tracking.log_table(client, run.info.run_id, frame, about)

    used = client.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset
    assert (used.digest, used.schema) == (digest, None)
    assert json.loads(used.profile) == {"num_rows": 3, "num_elements": 12_000}


def test_a_data_set_has_the_schema_that_mlflow_infers_from_every_row(client: MlflowClient) -> None:
    run = client.create_run(client.get_experiment_by_name("model").experiment_id)  # type: ignore[union-attr]
    gaps = {"late": [1.5] * 40 + [float("nan")] * 10, "early": [float("nan"), *range(49)], "none": [float("nan")] * 50}
    texts = {"words": ["a", "b"] * 25, "gap": [float("nan"), "x"] * 25}
    frame = pd.DataFrame({**gaps, "whole": range(50), **{name: pd.Series(texts[name], dtype=object) for name in texts}})

    tracking.log_table(client, run.info.run_id, frame, tracking.TableNote("x", "s3://b/x", "raw", "whole", "0af3" * 8))

    used = client.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset
    whole = mlflow.data.from_pandas(frame)  # type: ignore[attr-defined]
    assert json.loads(used.schema) == {"mlflow_colspec": whole.schema.to_dict()}
    assert json.loads(used.profile) == whole.profile
