"""What a run was made with: the commit, whether files differed from it, and the environment's lock. Reads one file."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import distributions
from pathlib import Path

LOCK_TAG = "env.lock_sha256"
DIRTY_TAG = "git.dirty"
_LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"


def tags(commit: str, link: str) -> dict[str, str]:
    """The tags that say where a run comes from.

    Args:
        commit: The commit, with `-dirty` at its end where files differ from it; empty when unknown.
        link: The DAG run's page, which MLflow shows as the run's source.

    Returns:
        Our own (`git.commit`, `git.dirty`, `env.lock_sha256`, `env.python`) and those that MLflow's pages show.
    """
    plain, dirty = commit.removesuffix("-dirty"), commit.endswith("-dirty")
    found = {
        "git.commit": plain,
        DIRTY_TAG: str(dirty).lower() if plain else "",
        "mlflow.source.git.commit": plain,
        "mlflow.source.name": link,
        "mlflow.source.type": "JOB",
        "mlflow.user": "trackyard",
        LOCK_TAG: lock_digest(_LOCK),
        "env.python": platform.python_version(),
    }
    return {name: value for name, value in found.items() if value}


def lock_digest(lock: Path) -> str:
    """The sha256 of the lock file, or `installed:` and that of the installed packages where there is no such file."""
    if lock.is_file():
        return hashlib.sha256(lock.read_bytes()).hexdigest()
    names = sorted({f"{each.metadata['Name']}=={each.version}" for each in distributions()})
    return f"installed:{hashlib.sha256(chr(10).join(names).encode()).hexdigest()}"
