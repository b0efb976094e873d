"""A backup and a restore of real stores: what comes back, what stays the stack's own, and what a failure leaves."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from werkzeug.security import check_password_hash

from infra.backup import accounts, archive, contents, databases
from infra.backup.backup import backup
from infra.backup.restore import Doors, restore
from infra.backup.target import DATABASES, Target
from infra.servers import migrations
from infra.servers.postgres import DATABASES as OWNERS
from infra.servers.postgres import superuser_url
from infra.stack.info import StackInfo
from ml.errors import BadInput, Misconfigured, PipelineError, Unavailable

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


def test_a_backup_says_what_it_holds(file: Path) -> None:
    manifest = archive.check(file)[archive.MANIFEST]

    assert manifest["revisions"] == {**HEADS, "airflow_fab": None, "mlflow_auth": None}
    assert manifest["counts"] == {
        "DAG runs": 2, "connections": 0, "variables": 1, "MLflow runs": 1, "registered versions": 2, "objects": 2,
    }  # fmt: skip
    assert [(one["name"], one["key"], one["is_champion"]) for one in manifest["versions"]] == [
        ("ad-click", KEY, True),
        ("old", "", False),
    ]
    assert file.stat().st_mode & 0o777 == 0o600


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


def test_a_backup_without_a_versions_file_leaves_no_file(filled: Target, tmp_path: Path) -> None:
    filled.s3.put_object(Bucket="mlflow", Key=KEY, Body=b"other")

    with pytest.raises(PipelineError, match=r"ad-click version 1 \(1/models/.*differs from its sha256"):
        backup(filled, tmp_path / "stack.tar.gz", lambda text: None)

    assert list(tmp_path.iterdir()) == []
    _fill(filled)


def test_databases_without_tables_are_no_backup(filled: Target, tmp_path: Path) -> None:
    _run(filled, "mlflow", "DROP TABLE alembic_version")

    with pytest.raises(Misconfigured, match="nothing to back up before the stack was started once"):
        backup(filled, tmp_path / "stack.tar.gz", lambda text: None)

    _fill(filled)
    assert list(tmp_path.iterdir()) == []


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


def test_a_server_that_is_not_there_is_an_outage_in_one_line() -> None:
    with (
        pytest.raises(Unavailable, match=r"^PostgreSQL does not let us in .*is it up, and is the account right\?$"),
        databases.connected("postgresql://nobody:x@127.0.0.1:1/none"),
    ):
        pass


def test_a_database_that_is_not_there_is_named(filled: Target) -> None:
    with pytest.raises(Misconfigured, match="there is no database 'none'"):
        databases.owner_of(filled.database_url, "none")


def test_a_dump_that_fails_tells_the_reason(filled: Target, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as output, pytest.raises(PipelineError, match="'airflow' could not be dumped"):
        databases.dump(filled.database_url, "airflow", "no-such-snapshot", output)


def test_sql_that_fails_fills_nothing(filled: Target) -> None:
    sql = b"CREATE TABLE half (id int);\nSELECT no_such_function();\n"

    with pytest.raises(PipelineError, match=r"'mlflow_auth' could not be filled: .*no_such_function"):
        databases.load(filled.database_url, "mlflow_auth", io.BytesIO(sql))

    assert _run(filled, "mlflow_auth", "SELECT to_regclass('public.half')") == [(None,)]


def test_a_command_of_psql_in_a_dump_is_not_obeyed(filled: Target, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="could not be filled"):
        databases.load(filled.database_url, "mlflow_auth", io.BytesIO(f"\\! touch {tmp_path}/made\n".encode()))

    assert list(tmp_path.iterdir()) == []


def test_databases_that_somebody_uses_are_not_exchanged(filled: Target) -> None:
    with (
        databases.connected(filled.database_url, "mlflow"),
        pytest.raises(PipelineError, match=r"could not be exchanged .*nothing was changed"),
    ):
        databases.swap(filled.database_url, ["airflow", "mlflow"])

    assert _names(filled) == {"postgres", *OWNERS}


def test_the_account_for_a_while_may_what_the_owners_may_and_is_gone_afterwards(filled: Target) -> None:
    look = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)"
    with databases.connected(filled.database_url) as cursor:
        cursor.execute(f"CREATE ROLE {accounts.PREFIX}stale VALID UNTIL '2020-01-01'")

        with accounts.as_owners(filled.database_url, DATABASES) as url, databases.connected(url, "mlflow") as owners:
            cursor.execute(look, (accounts.PREFIX,))
            [(name,)] = cursor.fetchall()
            assert not name.endswith("stale")
            owners.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
            assert owners.fetchone() == (name, False)
            owners.execute("SELECT count(*) FROM runs")
            # No superuser: used as it is.
            with accounts.as_owners(url, DATABASES) as same:
                assert same == url

        cursor.execute(look, (accounts.PREFIX,))
        assert cursor.fetchall() == []


@pytest.mark.parametrize(
    ("revision", "said"), [(None, ""), (HEADS["mlflow"], ""), ("99fromthefuture", "unknown to the")]
)
def test_a_database_is_migrated_only_where_the_packages_know_its_revision(
    filled: Target, revision: str | None, said: str
) -> None:
    _run(filled, "mlflow", "DELETE FROM alembic_version")
    if revision:
        _run(filled, "mlflow", "INSERT INTO alembic_version VALUES (%s)", revision)
    url = databases.owner_url(filled.database_url, "mlflow")

    if said:
        with pytest.raises(PipelineError, match=f"'mlflow' has revision 99fromthefuture, {said} installed mlflow"):
            migrations.bring_up("mlflow", url)
    else:
        migrations.bring_up("mlflow", url)

    found = _run(filled, "mlflow", "SELECT version_num FROM alembic_version")
    assert found == ([(revision,)] if revision else [])
    _fill(filled)
