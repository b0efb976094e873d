"""The embedded PostgreSQL by itself: a dump that somebody changed does nothing in it, and it knows capitals."""

from __future__ import annotations

import io
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from infra.backup import contents, databases
from infra.backup.accounts import PREFIX, as_owners
from infra.backup.target import DATABASES
from infra.credentials import Credentials
from infra.servers import postgres
from ml.errors import PipelineError
from tests.support import free_ports, wait_for

pytestmark = pytest.mark.further


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an embedded PostgreSQL of its own, with the stack's databases, as its superuser."""
    folder, port, credentials = tmp_path_factory.mktemp("server") / "postgres", free_ports(1)[0], Credentials()
    postgres.create(folder, credentials)
    server = subprocess.Popen(
        postgres.command(folder, port), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = postgres.superuser_url(port, credentials)
    try:
        wait_for(lambda: databases.major_version(address), "PostgreSQL to answer")
        postgres.create_databases(port, credentials)
        yield address
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


@pytest.fixture
def fresh(url: str) -> Iterator[str]:
    """The name of an empty database beside `mlflow`."""
    yield databases.create_beside(url, "mlflow")
    databases.drop(url, ["mlflow" + databases.NEW])


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    """A file that would be there if the dump could run a program or write a file, as any account."""
    tmp_path.chmod(0o777)
    return Path(tempfile.gettempdir()) / f"{tmp_path.parent.name}-{tmp_path.name}.witness"


def _dump(url: str, database: str) -> bytes:
    with tempfile.TemporaryFile() as written, databases.snapshot(url, database) as (_, name):
        databases.dump(url, database, name, written)
        written.seek(0)
        return written.read()


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (r"\! touch {}", "first"),
        (r"\! touch {}", "last"),
        (r"\o {}", "first"),
        (r"\copy (SELECT 1) TO '{}'", "first"),
        (r"SELECT 1 \g {}", "first"),
        ("\\unrestrict a\n\\! touch {}", "last"),
    ],
)
def test_psql_obeys_no_command_of_its_own_in_a_dump(url: str, fresh: str, witness: Path, line: str, place: str) -> None:
    own, whole = line.format(witness).encode() + b"\n", _dump(url, "mlflow")
    changed = own + whole if place == "first" else whole + own

    with (
        as_owners(url, DATABASES) as owners,
        pytest.raises(PipelineError, match=r"could not be filled: .*(restricted|wrong key)"),
    ):
        databases.load(owners, fresh, io.BytesIO(changed))

    assert not witness.exists()


@pytest.mark.parametrize("begin", ["", "RESET ROLE;", "SET ROLE postgres;", "SET SESSION AUTHORIZATION postgres;"])
def test_the_sql_of_a_dump_runs_no_program(url: str, fresh: str, witness: Path, begin: str) -> None:
    changed = f"{begin} COPY (SELECT 1) TO PROGRAM 'touch {witness}';".encode()

    with as_owners(url, DATABASES) as owners, pytest.raises(PipelineError, match="permission denied"):
        databases.load(owners, fresh, io.BytesIO(changed))

    assert not witness.exists()


def test_a_trigger_in_a_dump_gets_no_superuser_to_run_it(url: str, witness: Path) -> None:
    fresh = databases.create_beside(url, "airflow")
    dumped = f"""
        CREATE TABLE public.ab_user (username text, password text);
        INSERT INTO public.ab_user VALUES ('admin', 'old');
        CREATE FUNCTION public.run() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RESET ROLE; COPY (SELECT 1) TO PROGRAM 'touch {witness}'; RETURN NEW; END $$;
        CREATE TRIGGER run BEFORE UPDATE ON public.ab_user FOR EACH ROW EXECUTE FUNCTION public.run();
    """.encode()
    try:
        with as_owners(url, DATABASES) as owners:
            databases.load(owners, fresh, io.BytesIO(dumped))
            with databases.connected(owners, fresh) as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
                contents.set_password_hashes(cursor, "airflow", {"admin": "new"})
    finally:
        databases.drop(url, [fresh])

    assert not witness.exists()


def test_an_empty_database_comes_back(url: str, fresh: str) -> None:
    with as_owners(url, DATABASES) as owners:
        databases.load(owners, fresh, io.BytesIO(_dump(url, "mlflow")))
        with databases.connected(owners, fresh) as cursor:
            # A server that was never started has made no accounts.
            contents.set_password_hashes(cursor, "mlflow_auth", {"admin": "hash"})


def test_what_was_dumped_comes_back_with_its_owner(url: str, fresh: str) -> None:
    with as_owners(url, DATABASES) as owners, databases.connected(databases.owner_url(owners, "mlflow")) as cursor:
        cursor.execute(r"CREATE TABLE kept AS SELECT '\unrestrict a' || chr(10) || 'x\y' AS text")
    try:
        whole = _dump(url, "mlflow")
        assert b"\\restrict " in whole
        with as_owners(url, DATABASES) as owners:
            databases.load(owners, fresh, io.BytesIO(whole))
        with databases.connected(url, fresh) as cursor:
            cursor.execute("SELECT text FROM kept")
            assert cursor.fetchall() == [("\\unrestrict a\nx\\y",)]
            cursor.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'kept'")
            assert cursor.fetchall() == [("mlflow",)]
    finally:
        with databases.connected(url, "mlflow") as cursor:
            cursor.execute("DROP TABLE kept")


def test_no_account_is_left_behind(url: str) -> None:
    with as_owners(url, DATABASES) as owners, databases.connected(owners, "airflow") as cursor:
        cursor.execute("SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchall() == [(False,)]

    with databases.connected(url) as cursor:
        # One that a restore left that was killed days ago.
        cursor.execute(f"CREATE ROLE {PREFIX}killed LOGIN VALID UNTIL 'yesterday'")
    with as_owners(url, DATABASES), databases.connected(url) as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, %s)", (PREFIX,))
        assert cursor.fetchone() == (1,)
    with databases.connected(url) as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, %s)", (PREFIX,))
        assert cursor.fetchone() == (0,)


def test_case_is_folded_in_every_script_also_after_a_restore(url: str, fresh: str) -> None:
    for database in ("mlflow", fresh):
        with databases.connected(url, database) as cursor:
            cursor.execute("SELECT 'ÉCOLE' ILIKE 'école', lower('ΣÜ'), 'a' < 'É'")
            assert cursor.fetchone() == (True, "σü", True)


def test_a_language_that_the_machine_lacks_is_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.setenv(name, "xx_XX.UTF-8")

    postgres.create(tmp_path / "postgres", Credentials())

    assert (tmp_path / "postgres" / "PG_VERSION").exists()
