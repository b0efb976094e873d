"""PostgreSQL's own programs for dumps: which ones, and running them without a secret in the process list."""

from __future__ import annotations

import os
import re
import subprocess
from functools import lru_cache
from shutil import which

from psycopg2.extensions import make_dsn, parse_dsn

from infra.servers import postgres
from ml.errors import Misconfigured


def find(name: str, server_major: int) -> str:
    """The path of a program whose version fits a server best: the same major version, else the next newer one.

    `pg_dump` refuses a server that is newer than itself. The wheel has two versions; others come from the PATH.
    `Misconfigured` where there is none of that age.
    """
    programs = {major: path for path in _candidates(name) if (major := _major(path)) >= server_major}
    if not programs:
        raise Misconfigured(
            f"the server is PostgreSQL {server_major} and there is no {name} of that version or newer: "
            f"install postgresql-client-{server_major}"
        )
    return programs[min(programs)]


def _candidates(name: str) -> list[str]:
    on_path, wheel = which(name), postgres.wheel()
    # Later ones win, so that of two with the same version the wheel's is taken.
    return [*([on_path] if on_path else []), *map(str, wheel.glob(f"pginstall*/bin/{name}") if wheel else [])]


@lru_cache(maxsize=16)
def _major(path: str) -> int:
    try:
        text = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r"PostgreSQL\) (\d+)", text)
    return int(match.group(1)) if match else 0


def connection(url: str, database: str) -> tuple[str, dict[str, str]]:
    """What a program gets to reach a database: its `--dbname`, and its variables with the password."""
    parts = {**parse_dsn(url), "dbname": database}
    password = parts.pop("password", None)
    # PG* variables that somebody has for another server must not be mixed in.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return make_dsn(**parts), {**env, "LC_ALL": "C", **({"PGPASSWORD": password} if password else {})}


def reason(text: str) -> str:
    """The line of what a program wrote that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("error", "ERROR", "FATAL"))]
    return next(iter([*telling, *reversed(lines)]), "it left no message")
