"""The revisions of the databases: which one a database has, which ones the installed packages know, and the way up.

Run as `python -m infra.servers.migrations mlflow`, it brings the MLflow database in `MLFLOW_BACKEND_STORE_URI` up;
Airflow has a command of its own for that.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ml.errors import PipelineError


@dataclass(frozen=True)
class Schema:
    """One set of migrations: its database, the table with the revision there, and its folder in a package."""

    name: str
    database: str
    table: str
    package: str
    folder: str


SCHEMAS = (
    Schema("airflow", "airflow", "alembic_version", "airflow", "migrations/versions"),
    Schema("airflow_fab", "airflow", "alembic_version_fab", "airflow", "providers/fab/migrations/versions"),
    Schema("mlflow", "mlflow", "alembic_version", "mlflow", "store/db_migrations/versions"),
    Schema("mlflow_auth", "mlflow_auth", "alembic_version_auth", "mlflow", "server/auth/db/migrations/versions"),
)
"""Every set of migrations; MLflow's server applies those of its accounts by itself when it starts."""


def known_revisions(schema: Schema) -> dict[str, tuple[str, ...]]:
    """The revisions that the installed package knows, each with those that it follows.

    The files are read and not imported: Airflow's open a configuration and a log in the user's home.
    """
    spec = find_spec(schema.package)
    places = (spec.submodule_search_locations if spec else None) or []
    files = [file for place in places for file in (Path(place) / schema.folder).glob("*.py")]
    if not files:
        raise PipelineError(f"the migrations of {schema.package} are not installed: run 'make setup'")
    return dict(revision for file in files if (revision := _revision(file)))


def _revision(file: Path) -> tuple[str, tuple[str, ...]] | None:
    values: dict[str, Any] = {}
    for node in ast.parse(file.read_text()).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        name = getattr(target, "id", None)
        if name in ("revision", "down_revision") and isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
            values[name] = ast.literal_eval(node.value)
    if not values.get("revision"):
        return None
    before = values.get("down_revision") or ()
    return str(values["revision"]), (before,) if isinstance(before, str) else tuple(before)


def head(schema: Schema) -> str:
    """The newest revision that the installed package knows."""
    revisions = known_revisions(schema)
    return min(set(revisions).difference(*revisions.values()))


def revision_of(connection: Any, schema: Schema) -> str | None:
    """The revision that the database of a psycopg2 connection has; None where the tables were not made yet."""
    from psycopg2 import sql

    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", (f"public.{schema.table}",))
        if cursor.fetchone()[0] is None:
            return None
        cursor.execute(sql.SQL("SELECT version_num FROM public.{}").format(sql.Identifier(schema.table)))
        row = cursor.fetchone()
        return str(row[0]) if row else None


def bring_up(name: str, url: str) -> None:
    """Migrates a database that is older than the installed package; an empty one is left as it is.

    Args:
        name: A name of `SCHEMAS`.
        url: The database's address, with an account that owns its tables.

    Raises:
        PipelineError: It is newer than the package, or the migration failed.
    """
    import psycopg2

    schema = next(schema for schema in SCHEMAS if schema.name == name)
    with closing(psycopg2.connect(url)) as connection:
        revision = revision_of(connection, schema)
    if revision in (None, head(schema)):
        return
    if revision not in known_revisions(schema):
        raise PipelineError(
            f"database {schema.database!r} has revision {revision}, unknown to the installed {schema.package}: "
            "install the newer version again, or restore a backup of before the upgrade"
        )
    migrate(schema.database, url)


def migrate(database: str, url: str) -> None:
    """Brings a database to the newest revision, in a process of its own; nothing secret is in its arguments.

    Args:
        database: `airflow` or `mlflow`; the accounts' one is brought up by MLflow's server itself.
        url: The database's address, with an account that owns its tables.

    Raises:
        PipelineError: It failed; the last line that it wrote says why.
    """
    if database == "mlflow_auth":
        return
    with tempfile.TemporaryDirectory(prefix="trackyard-") as folder:
        # What somebody has set for an Airflow or MLflow of their own has no say here.
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "MLFLOW"))}
        env |= _variables(database, url, folder)
        module = ["airflow", "db", "migrate"] if database == "airflow" else ["infra.servers.migrations", database]
        done = subprocess.run(
            [sys.executable, "-m", *module], env=env, capture_output=True, text=True, errors="replace", check=False
        )
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise PipelineError(f"the migration of database {database!r} failed: {lines[-1] if lines else 'no message'}")


def _variables(database: str, url: str, folder: str) -> dict[str, str]:
    # By its full name, since SQLAlchemy's default driver is another one from 2.1 on.
    url = url.replace("postgresql://", "postgresql+psycopg2://", 1)
    if database == "mlflow":
        return {"MLFLOW_BACKEND_STORE_URI": url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {
        "AIRFLOW_HOME": folder,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }


def main(arguments: list[str], environ: Mapping[str, str]) -> None:
    """Brings MLflow's database up; `arguments` is `mlflow`, and its address is in `MLFLOW_BACKEND_STORE_URI`."""
    if arguments != ["mlflow"]:
        sys.exit("usage: python -m infra.servers.migrations mlflow")
    from mlflow import db

    db.upgrade.callback(environ["MLFLOW_BACKEND_STORE_URI"])


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
