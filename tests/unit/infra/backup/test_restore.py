"""What is refused before a restore touches anything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.backup.restore import hashed, refuse_unfit
from infra.backup.target import Target
from infra.servers import migrations
from ml.data.store import s3_client
from ml.errors import BadInput, Misconfigured

TARGET = Target(
    "postgresql://nobody@127.0.0.1:1/none",
    s3_client("http://127.0.0.1:1", ("key", "secret"), region="x", tries=1),
    "key",
)


def _manifest(**revisions: str | None) -> dict[str, Any]:
    heads: dict[str, str | None] = {schema.name: migrations.head(schema) for schema in migrations.SCHEMAS}
    return {
        "revisions": heads | revisions,
        "tools": {"trackyard": "9.0", "mlflow": "99.0"},
        "buckets": {"data": "trackyard", "artifacts": "mlflow"},
    }


def test_a_backup_of_the_same_age_fits() -> None:
    assert refuse_unfit(_manifest(), TARGET) == []


def test_what_is_older_is_named_to_be_migrated() -> None:
    schema = next(schema for schema in migrations.SCHEMAS if schema.name == "mlflow")
    older = migrations.known_revisions(schema)[migrations.head(schema)][0]

    assert refuse_unfit(_manifest(mlflow=older), TARGET) == ["mlflow"]


def test_what_is_newer_is_refused_with_the_versions_that_it_takes() -> None:
    with pytest.raises(BadInput, match=r"newer than what is installed.*mlflow 99\.0"):
        refuse_unfit(_manifest(mlflow="fromthefuture"), TARGET)


def test_another_name_of_the_data_bucket_is_refused() -> None:
    with pytest.raises(Misconfigured, match="TRACKYARD_S3_BUCKET to 'trackyard'"):
        refuse_unfit(_manifest(), replace(TARGET, data_bucket="elsewhere"))


def test_passwords_are_kept_as_mlflow_reads_them() -> None:
    from werkzeug.security import check_password_hash

    assert check_password_hash(hashed({"admin": "s3cret"})["admin"], "s3cret")
