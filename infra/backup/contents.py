"""What is in the databases that a backup must look at: versions and their files, accounts, and encrypted values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from psycopg2 import sql

from infra.servers.migrations import SCHEMAS, revision_of
from ml.errors import BadInput, PipelineError
from ml.registry.loading import MODEL_FILE, SHA256_TAG
from ml.registry.versions import CHAMPION

_VERSIONS = """
SELECT v.name, v.version, t.value, m.artifact_location,
       EXISTS (SELECT 1 FROM registered_model_aliases a
               WHERE a.name = v.name AND a.version = v.version AND a.alias = %(champion)s)
FROM model_versions v
LEFT JOIN model_version_tags t ON t.name = v.name AND t.version = v.version AND t.key = %(tag)s
LEFT JOIN logged_models m ON v.source = 'models:/' || m.model_id
WHERE v.current_stage IS DISTINCT FROM 'Deleted_Internal'
ORDER BY v.name, v.version
"""

_COUNTED = {
    "airflow": {"DAG runs": "dag_run", "connections": "connection", "variables": "variable"},
    "mlflow": {"MLflow runs": "runs", "registered versions": "model_versions"},
}
_ENCRYPTED = (
    ("connection", "password", "is_encrypted"),
    ("connection", "extra", "is_extra_encrypted"),
    ("variable", "val", "is_encrypted"),
    ("trigger", "kwargs", "kwargs NOT LIKE '{%'"),
)
"""Table, column and condition of every value that Airflow encrypts."""

ACCOUNTS = {"airflow": ("ab_user", "password"), "mlflow_auth": ("users", "password_hash")}
"""Table and column of the passwords of each database that has accounts."""


@dataclass(frozen=True)
class Version:
    """A registered version and its file.

    Attributes:
        sha256: What the version says its file's is; empty where it says nothing.
        key: The file's key in the artefact bucket; empty where it was not logged through MLflow's server.
    """

    name: str
    version: int
    sha256: str
    key: str
    is_champion: bool


def versions(cursor: Any, artifact_bucket: str) -> list[Version]:
    """Every registered version that MLflow's database knows."""
    if not (_has_table(cursor, "model_versions") and _has_table(cursor, "logged_models")):
        return []
    cursor.execute(_VERSIONS, {"champion": CHAMPION, "tag": SHA256_TAG})
    return [
        Version(name, int(version), sha256 or "", file_key(location or "", artifact_bucket), is_champion)
        for name, version, sha256, location, is_champion in cursor.fetchall()
    ]


def _has_table(cursor: Any, table: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"public.{table}",))
    return bool(cursor.fetchone()[0])


def file_key(location: str, bucket: str) -> str:
    """The key of a model's file from where its artefacts are; empty where that is not in the bucket.

    >>> file_key("mlflow-artifacts:/1/models/m-1/artifacts", "mlflow")
    '1/models/m-1/artifacts/model.skops'
    """
    parts = urlsplit(location)
    if parts.scheme == "mlflow-artifacts" or (parts.scheme == "s3" and parts.netloc == bucket):
        return f"{parts.path.strip('/')}/{MODEL_FILE}"
    return ""


def refuse_missing(versions: Iterable[Version], sha256_of: Mapping[str, str]) -> int:
    """Compares each version with its file's sha256, by key; returns how many versions say nothing about theirs.

    Raises:
        PipelineError: A version's file is not there, or is another.
    """
    silent = 0
    for one in versions:
        if not one.sha256:
            silent += 1
        elif sha256_of.get(one.key) != one.sha256:
            state = "differs from its sha256" if one.key in sha256_of else "is not in the bucket"
            raise PipelineError(
                f"the file of {one.name} version {one.version} ({one.key or 'not logged through the server'}) {state}: "
                "delete the version or bring its file back, then try again"
            )
    return silent


def revisions(cursors: Mapping[str, Any]) -> dict[str, str | None]:
    """The revision of each set of migrations, by its name; psycopg2 cursors by database."""
    return {schema.name: revision_of(cursors[schema.database].connection, schema) for schema in SCHEMAS}


def counts(cursors: Mapping[str, Any]) -> dict[str, int]:
    """How many rows there are of what people made, by what it is called; tables that are missing count as empty."""
    rows: dict[str, int] = {}
    for database, tables in _COUNTED.items():
        cursor = cursors[database]
        for what, table in tables.items():
            rows[what] = 0
            if _has_table(cursor, table):
                cursor.execute(sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(table)))
                rows[what] = int(cursor.fetchone()[0])
    return rows


def password_hashes(cursor: Any, database: str) -> dict[str, str]:
    """The stored hash of each account's password, of a database of `ACCOUNTS`; none before its first start."""
    table, column = ACCOUNTS[database]
    if not _has_table(cursor, table):
        return {}
    names = sql.Identifier(column), sql.Identifier(table)
    cursor.execute(sql.SQL("SELECT username, {} FROM public.{}").format(*names))
    return dict(cursor.fetchall())


def set_password_hashes(cursor: Any, database: str, hashes: Mapping[str, str]) -> None:
    """Gives accounts that are there other passwords; those that are not are left to whoever makes them."""
    table, column = ACCOUNTS[database]
    if not _has_table(cursor, table):
        return
    names = sql.Identifier(table), sql.Identifier(column)
    update = sql.SQL("UPDATE public.{} SET {} = %s WHERE username = %s").format(*names)
    for username, password_hash in hashes.items():
        cursor.execute(update, (password_hash, username))


def forget_webhooks(cursor: Any) -> None:
    """Takes MLflow's webhooks away: their secrets are encrypted with a key that is not in a backup.

    The stack makes its own again; MLflow could not even list one that it cannot decrypt.
    """
    for table in ("webhook_events", "webhooks"):
        if _has_table(cursor, table):
            cursor.execute(sql.SQL("DELETE FROM public.{}").format(sql.Identifier(table)))


def encrypt_anew(cursor: Any, old_key: str, new_key: str) -> None:
    """Encrypts what Airflow keeps encrypted with another key; `BadInput` where it was yet another that encrypted it.

    Either may be several keys, separated by commas; the first of `new_key` encrypts.
    """
    keys = MultiFernet([Fernet(key.strip()) for key in [*new_key.split(","), *old_key.split(",")]])
    for table, column, condition in _ENCRYPTED:
        names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
        select = sql.SQL("SELECT id, {column} FROM public.{table} WHERE {column} <> '' AND ").format(**names)
        update = sql.SQL("UPDATE public.{table} SET {column} = %s WHERE id = %s").format(**names)
        cursor.execute(select + sql.SQL(condition))
        for row, value in cursor.fetchall():
            try:
                fresh = keys.rotate(value.encode()).decode()
            except InvalidToken:
                raise BadInput(
                    f"{column} of {table} {row} was encrypted with another key than the backup's: "
                    "run 'airflow rotate-fernet-key' on the stack it comes from, and back it up again"
                ) from None
            cursor.execute(update, (fresh, row))
