"""What a small stack keeps in its stores, and a backup of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from infra.backup import databases
from infra.backup.backup import backup
from infra.backup.target import DATABASES, Target
from infra.servers import migrations
from infra.servers.postgres import DATABASES as OWNERS
from infra.stack.info import StackInfo

HEADS = {schema.name: migrations.head(schema) for schema in migrations.SCHEMAS}


MODEL = b"a champion's file"


KEY = "1/models/m-1/artifacts/model.skops"


TABLES = {
    "airflow": f"""
        CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('{HEADS["airflow"]}');
        CREATE TABLE dag_run (id int); INSERT INTO dag_run VALUES (1), (2);
        CREATE TABLE connection (id int, password text, is_encrypted bool, extra text, is_extra_encrypted bool);
        CREATE TABLE variable (id int, val text, is_encrypted bool);
        CREATE TABLE trigger (id int, kwargs text);
        CREATE TABLE session (id int); INSERT INTO session VALUES (1);
        CREATE TABLE ab_user (username text, password text); INSERT INTO ab_user VALUES ('admin', 'hash of then');
    """,
    "mlflow": f"""
        CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('{HEADS["mlflow"]}');
        CREATE TABLE runs (id int); INSERT INTO runs VALUES (1);
        CREATE TABLE model_versions (name text, version int, source text, current_stage text);
        INSERT INTO model_versions VALUES ('ad-click', 1, 'models:/m-1', 'None'), ('old', 1, 'elsewhere', NULL);
        CREATE TABLE model_version_tags (name text, version int, key text, value text);
        INSERT INTO model_version_tags VALUES ('ad-click', 1, 'model.sha256', '{hashlib.sha256(MODEL).hexdigest()}');
        CREATE TABLE registered_model_aliases (name text, alias text, version int);
        INSERT INTO registered_model_aliases VALUES ('ad-click', 'champion', 1);
        CREATE TABLE logged_models (model_id text, artifact_location text);
        INSERT INTO logged_models VALUES ('m-1', 'mlflow-artifacts:/1/models/m-1/artifacts');
        CREATE TABLE webhooks (id int); INSERT INTO webhooks VALUES (1);
        CREATE TABLE webhook_events (id int);
    """,
    "mlflow_auth": "CREATE TABLE users (username text, password_hash text); INSERT INTO users VALUES ('ann', 'then');",
}


def _run(target: Target, database: str, statement: str, *values: Any) -> list[Any]:
    with databases.connected(target.database_url, database) as cursor:
        cursor.execute(f"SET ROLE {OWNERS[database]}")
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def _value(target: Target) -> str:
    """The one variable of Airflow, as the stack's own key reads it."""
    [(value,)] = _run(target, "airflow", "SELECT val FROM variable")
    return Fernet(target.fernet_key).decrypt(value.encode()).decode()


def _names(target: Target) -> set[str]:
    with databases.connected(target.database_url) as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
        return {name for (name,) in cursor.fetchall()}


def _fill(target: Target) -> None:
    for database, statements in TABLES.items():
        _run(target, database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public;" + statements)
    secret = Fernet(target.fernet_key).encrypt(b"of then").decode()
    _run(target, "airflow", "INSERT INTO variable VALUES (1, %s, true)", secret)
    target.s3.put_object(Bucket="mlflow", Key=KEY, Body=MODEL, ContentType="x/y", Metadata={"a": "b"})
    target.s3.put_object(Bucket="trackyard", Key="datasets/1", Body=b"rows")


@pytest.fixture(scope="module")
def filled(stores: StackInfo) -> Iterator[Target]:
    """Stores with what a small stack keeps there; empty again at the end."""
    target = Target.of_plan(stores.plan)
    _fill(target)
    yield target
    for database in DATABASES:
        _run(target, database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    for bucket in ("mlflow", "trackyard"):
        for one in target.s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            target.s3.delete_object(Bucket=bucket, Key=one["Key"])


@pytest.fixture(scope="module")
def file(filled: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of them."""
    path = tmp_path_factory.mktemp("backups") / "stack.tar.gz"
    backup(filled, path, lambda text: None)
    return path
