"""What a restore refuses, what comes back, what stays the stack's own, and what a failure leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from werkzeug.security import check_password_hash

from infra.backup import databases
from infra.backup.backup import backup
from infra.backup.restore import Doors, hashed, refuse_unfit, restore
from infra.backup.target import Target
from infra.servers import migrations
from infra.servers.postgres import DATABASES as OWNERS
from ml.data.store import s3_client
from ml.errors import BadInput, Misconfigured
from tests.unit.infra.backup.conftest import KEY, MODEL, _fill, _names, _run, _value

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
    assert check_password_hash(hashed({"admin": "s3cret"})["admin"], "s3cret")


def test_a_restore_brings_the_state_back_and_keeps_what_is_the_stacks_own(filled: Target, file: Path) -> None:
    _run(filled, "airflow", "DELETE FROM dag_run; UPDATE ab_user SET password = 'hash of now'")
    _run(filled, "mlflow_auth", "INSERT INTO users VALUES ('admin', 'x'); UPDATE users SET password_hash = 'now'")
    filled.s3.put_object(Bucket="mlflow", Key=KEY, Body=b"another file")
    filled.s3.put_object(Bucket="trackyard", Key="datasets/later", Body=b"rows")
    filled.s3.delete_object(Bucket="trackyard", Key="datasets/1")
    here = replace(filled, fernet_key=Fernet.generate_key().decode(), mlflow_passwords={"ann": "s3cret"})
    said, asked = [], []

    def may_replace(description: str) -> bool:
        asked.append(description)
        return True

    restore(here, file, Doors(said.append, may_replace=may_replace, sleep=lambda seconds: None))

    assert asked == ["1 variables, 1 MLflow runs, 2 registered versions, 2 objects"]
    assert _run(here, "airflow", "SELECT count(*) FROM dag_run") == [(2,)]
    assert _run(here, "airflow", "SELECT count(*) FROM session") == [(0,)]
    assert _value(here) == "of then"
    assert _run(here, "airflow", "SELECT * FROM ab_user") == [("admin", "hash of now")]
    [(name, password)] = _run(here, "mlflow_auth", "SELECT * FROM users")
    assert name == "ann"
    assert check_password_hash(password, "s3cret")
    assert _run(here, "mlflow", "SELECT count(*) FROM webhooks") == [(0,)]
    model = here.s3.get_object(Bucket="mlflow", Key=KEY)
    assert (model["Body"].read(), model["ContentType"], model["Metadata"]) == (MODEL, "x/y", {"a": "b"})
    listed = here.s3.list_objects_v2(Bucket="trackyard")["Contents"]
    assert [one["Key"] for one in listed] == ["datasets/1"]
    assert _names(here) == {"postgres", *OWNERS}
    assert "ad-click version 1 is there" in said[-1]
    _fill(filled)


def test_a_stack_that_holds_something_is_not_replaced_unasked(filled: Target, file: Path) -> None:
    stopped: list[str] = []

    with pytest.raises(BadInput, match=r"the stack is not empty \(2 DAG runs, .*2 objects\): add --force"):
        restore(filled, file, Doors(lambda text: None, stop_users=lambda: stopped.append("all")))

    assert stopped == []
    assert _value(filled) == "of then"


def test_a_restore_waits_for_whoever_uses_the_databases_and_names_them(filled: Target, file: Path) -> None:
    waited: list[float] = []
    doors = Doors(lambda text: None, may_replace=lambda description: True, sleep=waited.append)

    with (
        databases.connected(filled.database_url, "mlflow"),
        pytest.raises(BadInput, match=r"in use \(mlflow/postgres\): stop everything"),
    ):
        restore(filled, file, doors)

    assert sum(waited) == pytest.approx(20, abs=0.5)
    assert _run(filled, "airflow", "SELECT count(*) FROM dag_run") == [(2,)]


def test_a_restore_that_fails_takes_back_what_it_wrote(filled: Target, tmp_path: Path) -> None:
    file = tmp_path / "stack.tar.gz"
    strange = Fernet(Fernet.generate_key()).encrypt(b"x").decode()
    _run(filled, "airflow", "INSERT INTO connection VALUES (7, %s, true, '', false)", strange)
    backup(filled, file, lambda text: None)
    _fill(filled)
    filled.s3.delete_object(Bucket="trackyard", Key="datasets/1")

    with pytest.raises(BadInput, match="password of connection 7 was encrypted with another key"):
        restore(filled, file, Doors(lambda text: None, may_replace=lambda description: True))

    assert _names(filled) == {"postgres", *OWNERS}
    assert "Contents" not in filled.s3.list_objects_v2(Bucket="trackyard")
    assert _run(filled, "airflow", "SELECT count(*) FROM connection") == [(0,)]
    _fill(filled)
