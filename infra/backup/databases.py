"""Databases on a server: a snapshot into a file, a file into a new database, and new ones for old in one step."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg2
from psycopg2 import sql

from infra.backup import tools
from ml.errors import BadInput, Misconfigured, PipelineError, Unavailable

NEW, OLD = "_restoring", "_before_restore"
"""What the names of a database that is being filled, and of one that was replaced, end in."""

_PREAMBLE_LINES = 40
_PIECE = 2**20
_END = 1000
_PATIENCE_S = 20.0

_PROVIDERS = {"b": " LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", "i": " LOCALE_PROVIDER icu ICU_LOCALE {}"}
"""Who sorts and folds a database's text, where it is not the C library."""


@contextmanager
def connected(url: str, database: str | None = None) -> Iterator[Any]:
    """A psycopg2 cursor that commits each statement, closed at the end; `Unavailable` where we are not let in."""
    try:
        connection = psycopg2.connect(url, connect_timeout=10, **({"dbname": database} if database else {}))
    except psycopg2.OperationalError as error:
        raise Unavailable(
            f"PostgreSQL does not let us in ({tools.reason(str(error))}): is it up, and is the account right?"
        ) from error
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def major_version(url: str) -> int:
    """The server's major version."""
    with connected(url) as cursor:
        return int(cursor.connection.server_version) // 10000


@contextmanager
def snapshot(url: str, database: str) -> Iterator[tuple[Any, str]]:
    """A cursor that sees the database as it is now, however long it is used, and the snapshot's id for `dump`."""
    with connected(url, database) as cursor:
        cursor.connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        # It waits while pg_dump works, and servers may end those that wait for long.
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        yield cursor, str(cursor.fetchone()[0])


def dump(url: str, database: str, snapshot_id: str, output: IO[bytes], leave_out: Iterable[str] = ()) -> None:
    """Writes a snapshot to a real file, as SQL that needs neither the owners' names nor this version of the server.

    The connection of `snapshot` must still be open; the rows of the tables in `leave_out` are left out.

    Raises:
        PipelineError: `pg_dump` failed; its reason is given.
    """
    dbname, env = tools.connection(url, database)
    program = tools.find("pg_dump", major_version(url))
    options = ["--no-owner", "--no-acl", f"--snapshot={snapshot_id}", "--encoding=UTF8"]
    options += [f"--exclude-table-data={table}" for table in leave_out]
    done = subprocess.run(
        [program, *options, f"--dbname={dbname}"], stdout=output, stderr=subprocess.PIPE, env=env, check=False
    )
    if done.returncode != 0:
        raise PipelineError(f"database {database!r} could not be dumped: {tools.reason(done.stderr.decode())}")


def create_beside(url: str, database: str) -> str:
    """Makes an empty database beside one that is there, with its owner and its sorting rules; returns its name."""
    name = database + NEW
    with connected(url) as cursor:
        # Its columns have other names in each version of the server.
        cursor.execute(
            "SELECT pg_get_userbyid(datdba), datcollate, datctype, row ->> 'datlocprovider', "
            "coalesce(row ->> 'datlocale', row ->> 'daticulocale') "
            "FROM pg_database, to_jsonb(pg_database) AS row WHERE datname = %s",
            (database,),
        )
        owner, collate, ctype, provider, locale = cursor.fetchone()
        cursor.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE {} LC_CTYPE {}").format(
                sql.Identifier(name), sql.Identifier(owner), sql.Literal(collate), sql.Literal(ctype)
            )
            + sql.SQL(_PROVIDERS.get(provider, "")).format(sql.Literal(locale))
        )
        cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    return name


def owner_of(url: str, database: str) -> str:
    """The role that owns a database; `Misconfigured` where there is no such database."""
    with connected(url) as cursor:
        cursor.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (database,))
        row = cursor.fetchone()
    if row is None:
        raise Misconfigured(f"there is no database {database!r}: let the stack set its databases up first")
    return str(row[0])


def owner_url(url: str, database: str) -> str:
    """The address of a database with which what is made in it belongs to its owner."""
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query), ("options", f"-crole={owner_of(url, database)}")]
    return parts._replace(scheme="postgresql", path=f"/{database}", query=urlencode(query)).geturl()


def load(url: str, database: str, dumped: IO[bytes]) -> None:
    """Fills an empty database with what `dump` wrote, as its owner: all of it or nothing.

    The dump is not trusted. Its SQL may give up the owner's role, so `url` is to have an account of
    `infra.backup.accounts`. psql obeys commands of its own among the SQL, which run programs and write files: it is
    told to take none, with a key that no dump can know.

    Raises:
        Misconfigured: The only `psql` of that version is too old to be told so.
        PipelineError: It failed; its reason is given.
    """
    dbname, env = tools.connection(url, database)
    major = major_version(url)
    env["PGOPTIONS"] = f"-c role={owner_of(url, database)} -c client_min_messages=warning"
    options = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--dbname={dbname}"]
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            [tools.find("psql", major), *options],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages, env=env,
        )  # fmt: skip
        try:
            # When psql gives up it closes its end; its own message says why.
            with suppress(BrokenPipeError):
                _feed(dumped, process.stdin, major)
        except BaseException:
            process.kill()
            raise
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close() if process.stdin else None
            code = process.wait()
        messages.seek(0)
        if code != 0:
            _raise_why(database, messages.read().decode(errors="replace"))


def _raise_why(database: str, output: str) -> NoReturn:
    if "invalid command \\restrict" in output:
        raise Misconfigured(
            "this psql obeys commands in a dump: install its newest minor version (August 2025 or later) and try again"
        )
    raise PipelineError(f"database {database!r} could not be filled: {tools.reason(output)}")


def _feed(dumped: IO[bytes], program: IO[bytes] | None, major: int) -> None:
    assert program is not None
    program.write(b"\\restrict %s\n" % secrets.token_hex(32).encode())
    own_key, held = b"", b""
    for _ in range(_PREAMBLE_LINES):
        line = dumped.readline()
        if line.startswith(b"\\restrict "):
            # The dump's own key, which may not be used now; its end, which may be near, names it again.
            own_key = line.split()[-1]
        # The dump of a newer server begins with settings; this is the one that servers before 17 do not know.
        elif not (major < 17 and line == b"SET transaction_timeout = 0;\n"):
            held += line
    while piece := dumped.read(_PIECE):
        program.write(held[:-_END])
        held = held[-_END:] + piece
    program.write(held.rstrip().removesuffix(b"\\unrestrict " + own_key) + b"\n" if own_key else held)


def drop(url: str, names: Iterable[str]) -> None:
    """Drops databases that nothing uses any more; those that are not there are passed over."""
    with connected(url) as cursor:
        for name in names:
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def swap(url: str, names: Iterable[str]) -> None:
    """Puts the filled databases in the place of the old ones, all in one transaction; the old ones are kept aside.

    Raises:
        PipelineError: Something is connected to one of them; nothing was changed.
    """
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    try:
        with connected(url) as cursor:
            cursor.connection.autocommit = False
            for name in names:
                cursor.execute(rename.format(sql.Identifier(name), sql.Identifier(name + OLD)))
                cursor.execute(rename.format(sql.Identifier(name + NEW), sql.Identifier(name)))
            cursor.connection.commit()
    except psycopg2.Error as error:
        raise PipelineError(
            f"the databases could not be exchanged ({tools.reason(str(error))}): "
            "stop whatever uses them; nothing was changed"
        ) from error


def refuse_users(url: str, names: Iterable[str], sleep: Callable[[float], None]) -> None:
    """Waits a little for the last connections to the databases to end; `BadInput` names those that stay."""
    with connected(url) as cursor:
        for _ in range(int(_PATIENCE_S / 0.2) + 1):
            cursor.execute(
                "SELECT DISTINCT datname || '/' || usename FROM pg_stat_activity "
                "WHERE datname = ANY(%s) AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY 1",
                (list(names),),
            )
            users = [row[0] for row in cursor.fetchall()]
            if not users:
                return
            sleep(0.2)
    raise BadInput(
        f"the databases are in use ({', '.join(users)}): stop everything but the database and S3 servers first"
    )
