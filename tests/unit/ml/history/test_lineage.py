"""Where a version came from, and which versions came from a data set or a DAG run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from ml.errors import BadInput
from ml.history import lineage
from ml.history.champion_moves import History
from tests.unit.ml.conftest import Place, promoted

if TYPE_CHECKING:
    from mlflow import MlflowClient


def test_lineage_leads_from_a_version_to_its_origin_and_back(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    promoted(context)
    entries = History(place.store, place.client, place.name).entries()  # type: ignore[arg-type]

    found = lineage.of_version(place.client, place.name, "1", entries)
    back = lineage.versions_from(place.client, data=found["data"]["digest"])

    assert found["data"]["uri"] == "generated"
    assert found["lock_digest"] == "10cc"
    assert found["run_id"] == context.mlflow_run_id
    assert found["verdict"] == {"passed": True, "reasons": []}
    assert [entry["way"] for entry in found["history"]] == ["DAG run"]
    assert (place.name, "1") in {(row["name"], row["version"]) for row in back}


def test_what_was_not_recorded_is_nothing(told: History) -> None:
    told.tracker.set_registered_model_alias(told.name, "champion", "2")
    told.tracker.set_registered_model_alias(told.name, "best", "2")
    told.tracker.set_model_version_tag(told.name, "2", "git.commit", "abc")

    found = lineage.of_version(told.tracker, told.name, "2", [])

    assert found["aliases"] == ["best", "champion"]
    assert (found["git_commit"], found["run_id"], found["metrics"], found["history"]) == ("abc", None, {}, [])
    assert found["data"] == {"digest": None, "uri": None, "rows": None}
    with pytest.raises(BadInput, match="has no version '77'"):
        lineage.of_version(told.tracker, told.name, "77", [])


def test_a_versions_own_tags_count_more_than_its_runs(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    place.client.set_model_version_tag(place.name, "1", "data.digest", "its own")
    place.client.set_tag(context.mlflow_run_id, "git.commit", "of the run")

    found = lineage.of_version(place.client, place.name, "1", [])

    assert (found["data"]["digest"], found["data"]["rows"], found["git_commit"]) == ("its own", "1000", "of the run")


def test_the_versions_of_a_data_set_or_a_dag_run_are_told_by_name_and_number(client: MlflowClient) -> None:
    for name in ("lineage b", "lineage a"):
        client.create_registered_model(name)
        for number in range(10):
            run = "nightly" if number in (1, 9) else "other"
            tags = {"data.digest": f"digest of {name}", "airflow.run_id": f"{run} of lineage"}
            client.create_model_version(name, "file:///x", tags=tags)

    of_run = lineage.versions_from(client, dag_run="nightly of lineage")
    of_data = lineage.versions_from(client, data="digest of lineage b")

    assert [(each["name"], each["version"]) for each in of_run] == [
        ("lineage a", "2"), ("lineage a", "10"), ("lineage b", "2"), ("lineage b", "10")
    ]  # fmt: skip
    assert [each["version"] for each in of_data] == [str(number) for number in range(1, 11)]
    assert of_data[1] == {
        "name": "lineage b", "version": "2", "dag_run_id": "nightly of lineage", "data_digest": "digest of lineage b",
    }  # fmt: skip


def test_what_has_a_quote_in_it_is_neither_digest_nor_run(client: MlflowClient) -> None:
    with pytest.raises(BadInput, match="is neither a digest nor a run's id"):
        lineage.versions_from(client, data="x' or tags.a = 'b")
