"""What is in the databases that a backup must look at: versions and their files, accounts, and encrypted values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from infra.servers.migrations import SCHEMAS, revision_of
from ml.errors import BadInput, PipelineError
from ml.registry.loading import MODEL_FILE, SHA256_TAG

CHAMPION = "champion"

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
    ("connection", "id", "password", "is_encrypted"),
    ("connection", "id", "extra", "is_extra_encrypted"),
    ("variable", "id", "val", "is_encrypted"),
    ("trigger", "id", "kwargs", "kwargs NOT LIKE '{%'"),
)
"""Table, key, column and condition of every value that Airflow encrypts."""

_ACCOUNTS = {"airflow": ("ab_user", "password"), "mlflow_auth": ("users", "password_hash")}


@dataclass(frozen=True)
class Version:
    """A registered version and its file.

    Attributes:
        name: The registered model.
        version: Its number.
        sha256: What the version says its file's is; empty where it says nothing.
        key: The file's key in the artefact bucket; empty where it was not logged through MLflow's server.
        is_champion: Whether the alias points to it.
    """

    name: str
    version: int
    sha256: str
    key: str
    is_champion: bool

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def versions(connection: Any, artifact_bucket: str) -> list[Version]:
    """Every registered version that MLflow's database knows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.model_versions'), to_regclass('public.logged_models')")
        if None in cursor.fetchone():
            return []
        cursor.execute(_VERSIONS, {"champion": CHAMPION, "tag": SHA256_TAG})
        return [
            Version(name, int(version), sha256 or "", file_key(location or "", artifact_bucket), is_champion)
            for name, version, sha256, location, is_champion in cursor.fetchall()
        ]


def file_key(location: str, bucket: str) -> str:
    """The key of a model's file from where its artefacts are.

    >>> file_key("mlflow-artifacts:/1/models/m-1/artifacts", "mlflow")
    '1/models/m-1/artifacts/model.skops'
    >>> file_key("s3://mlflow/1/models/m-1/artifacts", "mlflow")
    '1/models/m-1/artifacts/model.skops'
    >>> file_key("/tmp/elsewhere", "mlflow")
    ''
    """
    parts = urlsplit(location)
    if parts.scheme == "mlflow-artifacts" or (parts.scheme == "s3" and parts.netloc == bucket):
        return f"{parts.path.strip('/')}/{MODEL_FILE}"
    return ""


def refuse_missing(found: Iterable[Version], sha256_of: Mapping[str, str]) -> int:
    """Compares each version with the files; returns how many versions say nothing about theirs.

    Args:
        found: The versions.
        sha256_of: The sha256 of every object of the artefact bucket, by key.

    Raises:
        PipelineError: A version's file is not there, or is another.
    """
    silent = 0
    for one in found:
        if not one.sha256:
            silent += 1
        elif sha256_of.get(one.key) != one.sha256:
            state = "differs from its sha256" if one.key in sha256_of else "is not in the bucket"
            raise PipelineError(
                f"the file of {one.name} version {one.version} ({one.key or 'not logged through the server'}) {state}: "
                "delete the version or bring its file back, then try again"
            )
    return silent


def revisions(connections: Mapping[str, Any]) -> dict[str, str | None]:
    """The revision of each set of migrations, by its name; psycopg2 connections by database."""
    return {schema.name: revision_of(connections[schema.database], schema) for schema in SCHEMAS}


def counts(connections: Mapping[str, Any]) -> dict[str, int]:
    """How many rows there are of what people made, by what it is called; tables that are missing count as empty."""
    from psycopg2 import sql

    found: dict[str, int] = {}
    for database, tables in _COUNTED.items():
        with connections[database].cursor() as cursor:
            for what, table in tables.items():
                cursor.execute("SELECT to_regclass(%s)", (f"public.{table}",))
                if cursor.fetchone()[0] is None:
                    found[what] = 0
                    continue
                cursor.execute(sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(table)))
                found[what] = int(cursor.fetchone()[0])
    return found


def password_hashes(connection: Any, database: str) -> dict[str, str]:
    """The stored hash of each account's password; none where the database has no accounts."""
    from psycopg2 import sql

    if database not in _ACCOUNTS:
        return {}
    table, column = _ACCOUNTS[database]
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", (f"public.{table}",))
        if cursor.fetchone()[0] is None:
            return {}
        cursor.execute(
            sql.SQL("SELECT username, {} FROM public.{}").format(sql.Identifier(column), sql.Identifier(table))
        )
        return dict(cursor.fetchall())


def set_password_hashes(connection: Any, database: str, hashes: Mapping[str, str]) -> None:
    """Gives accounts that are there other passwords; those that are not are left to whoever makes them."""
    from psycopg2 import sql

    if database not in _ACCOUNTS:
        return
    table, column = _ACCOUNTS[database]
    statement = sql.SQL("UPDATE public.{} SET {} = %s WHERE username = %s")
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", (f"public.{table}",))
        if cursor.fetchone()[0] is None:
            return
        for username, hashed in hashes.items():
            cursor.execute(statement.format(sql.Identifier(table), sql.Identifier(column)), (hashed, username))


def forget_webhooks(connection: Any) -> None:
    """Takes MLflow's webhooks away: their secrets are encrypted with a key that is not in a backup.

    The stack makes its own again; MLflow could not even list one that it cannot decrypt.
    """
    with connection.cursor() as cursor:
        for table in ("webhook_events", "webhooks"):
            cursor.execute("SELECT to_regclass(%s)", (f"public.{table}",))
            if cursor.fetchone()[0] is not None:
                cursor.execute(f"DELETE FROM public.{table}")  # noqa: S608 - the two names above


def encrypt_anew(connection: Any, old_key: str, new_key: str) -> int:
    """Encrypts what Airflow keeps encrypted with another key; returns how many values there were.

    Args:
        connection: To Airflow's database.
        old_key: The key, or keys separated by commas, that the values were encrypted with.
        new_key: The same of the stack that is restored to; its first key encrypts.

    Raises:
        BadInput: A value was encrypted with yet another key.
    """
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet
    from psycopg2 import sql

    keys = [Fernet(key.strip()) for key in [*new_key.split(","), *old_key.split(",")]]
    changed = 0
    with connection.cursor() as cursor:
        for table, key, column, condition in _ENCRYPTED:
            names = [sql.Identifier(name) for name in (key, column, table)]
            query = sql.SQL("SELECT {}, {} FROM public.{} WHERE {} IS NOT NULL AND {} <> '' AND ").format(
                *names, names[1], names[1]
            )
            cursor.execute(query + sql.SQL(condition))
            update = sql.SQL("UPDATE public.{} SET {} = %s WHERE {} = %s").format(names[2], names[1], names[0])
            for row, value in cursor.fetchall():
                try:
                    fresh = MultiFernet(keys).rotate(value.encode()).decode()
                except InvalidToken:
                    raise BadInput(
                        f"{column} of {table} {row} was encrypted with another key than the backup's: "
                        "run 'airflow rotate-fernet-key' on the stack it comes from, and back it up again"
                    ) from None
                cursor.execute(update, (fresh, row))
                changed += 1
    return changed
