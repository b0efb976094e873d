"""What the databases say of versions and their files."""

from __future__ import annotations

import pytest

from infra.backup import contents, databases
from infra.backup.contents import Version, file_key, refuse_missing
from infra.servers.postgres import superuser_url
from infra.stack.info import StackInfo
from ml.errors import PipelineError

VERSION = Version("ad-click", 3, "abc", "1/models/m-1/artifacts/model.skops", is_champion=True)


def test_files_that_fit_are_accepted_and_silent_versions_counted() -> None:
    silent = Version("other", 1, "", "", is_champion=False)

    assert refuse_missing([VERSION, silent], {VERSION.key: "abc"}) == 1


@pytest.mark.parametrize(("files", "said"), [({}, "is not in the bucket"), ({VERSION.key: "def"}, "differs")])
def test_a_version_without_its_file_is_named(files: dict[str, str], said: str) -> None:
    with pytest.raises(PipelineError, match=f"ad-click version 3 .*{said}"):
        refuse_missing([VERSION], files)


@pytest.mark.parametrize(
    ("location", "key"),
    [
        ("mlflow-artifacts:/1/models/m-1/artifacts", "1/models/m-1/artifacts/model.skops"),
        ("mlflow-artifacts://host:5000/1/models/m-1/artifacts", "1/models/m-1/artifacts/model.skops"),
        ("s3://mlflow/1/models/m-1/artifacts/", "1/models/m-1/artifacts/model.skops"),
        ("s3://elsewhere/1", ""),
        ("/tmp/elsewhere", ""),
        ("", ""),
    ],
)
def test_the_key_of_a_file_comes_from_its_location(location: str, key: str) -> None:
    assert file_key(location, "mlflow") == key


def test_tables_that_are_missing_hold_nothing(stores: StackInfo) -> None:
    url = superuser_url(stores.plan.ports["postgres"], stores.plan.credentials)
    with databases.connected(url, "celery_results") as cursor:
        assert contents.versions(cursor, "mlflow") == []
        assert contents.counts({"airflow": cursor, "mlflow": cursor}) == {
            "DAG runs": 0, "connections": 0, "variables": 0, "MLflow runs": 0, "registered versions": 0,
        }  # fmt: skip
        assert contents.password_hashes(cursor, "airflow") == {}
        contents.set_password_hashes(cursor, "airflow", {"admin": "x"})
        contents.forget_webhooks(cursor)
