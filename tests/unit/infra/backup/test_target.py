"""The servers elsewhere that variables name."""

from __future__ import annotations

import pytest

from infra.backup.target import Target
from ml.errors import Misconfigured

ENVIRON = {
    "TRACKYARD_BACKUP_DATABASE_URL": "postgresql://postgres:hidden@db:5432/postgres",
    "AIRFLOW__CORE__FERNET_KEY": "hidden-key",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "hidden-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "TRACKYARD_S3_ENDPOINT": "http://s3:9000",
}


def test_buckets_have_the_names_of_the_embedded_stack_by_default() -> None:
    assert Target.from_env(ENVIRON).buckets == {"data": "trackyard", "artifacts": "mlflow"}
    named = Target.from_env({**ENVIRON, "TRACKYARD_S3_BUCKET": "d", "TRACKYARD_ARTIFACT_BUCKET": "a"})
    assert named.buckets == {"data": "d", "artifacts": "a"}


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Misconfigured, match="AIRFLOW__CORE__FERNET_KEY, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"):
        Target.from_env({"TRACKYARD_BACKUP_DATABASE_URL": "postgresql://db"})


def test_no_secret_is_in_its_repr() -> None:
    assert "hidden" not in repr(Target.from_env(ENVIRON))
