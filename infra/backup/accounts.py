"""An account for a while that may do what the databases' owners may, and nothing more. Effects: roles of the server.

What is in a database decides what runs when somebody uses it: triggers, views, functions. So whatever comes out of a
backup is loaded, read and changed by this account, never by the superuser, who may run programs on the server.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from infra.backup.databases import connected, owner_of

PREFIX = "trackyard_backup_"
_GOOD_FOR = timedelta(days=2)
_STALE = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) AND rolvaliduntil < now()"


@contextmanager
def as_owners(url: str, databases: Iterable[str]) -> Iterator[str]:
    """The server's address with an account that is a member of the databases' owners; it is gone at the end.

    An account that is no superuser is used as it is: it may do no more already, and may not make others.
    """
    owners = sorted({owner_of(url, database) for database in databases})
    with connected(url) as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if not cursor.fetchone()[0]:
            yield url
            return
        # What a backup or restore that was killed left, once its time is over.
        cursor.execute(_STALE, (PREFIX,))
        for (stale,) in cursor.fetchall():
            _drop(cursor, stale)
        name, password = PREFIX + secrets.token_hex(6), secrets.token_urlsafe(24)
        _create(cursor, name, password, owners)
        try:
            yield with_account(url, name, password)
        finally:
            _drop(cursor, name)


def with_account(url: str, name: str, password: str) -> str:
    """The same address with another account.

    >>> with_account("postgresql://postgres:old@db:5432/postgres?sslmode=require", "other", "p/w")
    'postgresql://other:p%2Fw@db:5432/postgres?sslmode=require'
    """
    parts = urlsplit(url)
    query = [(key, value) for key, value in parse_qsl(parts.query) if key not in ("user", "password")]
    place = parts.netloc.rpartition("@")[2]
    netloc = f"{quote(name, safe='')}:{quote(password, safe='')}@{place}"
    return parts._replace(netloc=netloc, query=urlencode(query)).geturl()


def _create(cursor: Any, name: str, password: str, owners: list[str]) -> None:
    # Encrypted here, so that no server writes it to its log.
    hidden = encrypt_password(password, name, scope=cursor.connection, algorithm="scram-sha-256")
    until = (datetime.now(UTC) + _GOOD_FOR).isoformat()
    cursor.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} VALID UNTIL {} IN ROLE {}").format(
            *(sql.Identifier(name), sql.Literal(hidden), sql.Literal(until)),
            sql.SQL(", ").join(map(sql.Identifier, owners)),
        )
    )


def _drop(cursor: Any, name: str) -> None:
    # A dump that made things as this account, not as the owner, keeps it from going: then it only loses its way in.
    cursor.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(name)))
    with suppress(psycopg2.Error):
        cursor.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
