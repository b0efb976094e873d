"""Databases of a real server: what is loaded into them, and when nothing is changed."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest

from infra.backup import databases
from infra.backup.target import Target
from infra.servers import migrations
from infra.servers.postgres import DATABASES as OWNERS
from ml.errors import Misconfigured, PipelineError, Unavailable
from tests.unit.infra.backup.conftest import HEADS, _fill, _names, _run


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


def test_a_snapshot_stays_what_it_was_while_others_write(filled: Target) -> None:
    with databases.snapshot(filled.database_url, "mlflow") as (cursor, _):
        _run(filled, "mlflow", "INSERT INTO runs VALUES (2)")

        cursor.execute("SELECT id FROM runs")
        assert cursor.fetchall() == [(1,)]

    assert _run(filled, "mlflow", "SELECT count(*) FROM runs") == [(2,)]
    _fill(filled)


def test_a_dump_fills_a_database_beside_that_is_its_owners_and_that_others_cannot_reach(filled: Target) -> None:
    url = filled.database_url
    with tempfile.TemporaryFile() as dumped:
        with databases.snapshot(url, "airflow") as (_, snapshot_id):
            databases.dump(url, "airflow", snapshot_id, dumped, ["public.session"])
        dumped.seek(0)
        fresh = databases.create_beside(url, "airflow")
        databases.load(url, fresh, dumped)

    with databases.connected(url, fresh) as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM dag_run), (SELECT count(*) FROM session)")
        assert cursor.fetchone() == (2, 0)
        cursor.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchall() == [(OWNERS["airflow"],)]
        cursor.execute("SELECT has_database_privilege(%s, %s, 'CONNECT')", (OWNERS["mlflow"], fresh))
        assert cursor.fetchone() == (False,)
    assert (fresh, databases.owner_of(url, fresh)) == ("airflow_restoring", OWNERS["airflow"])
    databases.drop(url, [fresh, "never_there"])
    assert fresh not in _names(filled)


def test_what_is_made_with_an_owners_address_is_the_owners(filled: Target) -> None:
    with databases.connected(databases.owner_url(filled.database_url, "mlflow_auth")) as cursor:
        cursor.execute("SELECT current_database(), current_user")
        assert cursor.fetchone() == ("mlflow_auth", OWNERS["mlflow_auth"])
