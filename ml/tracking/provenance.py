"""What a run was made with: the commit, whether files differed from it, and the environment's lock. Reads one file."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

LOCK_TAG = "env.lock_sha256"
DIRTY_TAG = "git.dirty"
NUMERICS_TAG = "env.numerics"
_LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"


def tags(commit: str, link: str) -> dict[str, str]:
    """The tags that say where a run comes from: our own, and those that MLflow's pages show.

    The commit ends in `-dirty` where files differ from it, and is empty when unknown; `link` is the DAG run's page,
    which MLflow shows as the run's source.
    """
    plain, dirty = commit.removesuffix("-dirty"), commit.endswith("-dirty")
    named = {
        "git.commit": plain,
        DIRTY_TAG: str(dirty).lower() if plain else "",
        "mlflow.source.git.commit": plain,
        "mlflow.source.name": link,
        "mlflow.source.type": "JOB",
        "mlflow.user": "trackyard",
        LOCK_TAG: lock_digest(_LOCK),
        "env.python": platform.python_version(),
    }
    return {name: value for name, value in named.items() if value}


def numerics() -> str:
    """The machine and the kernels that its linear algebra has chosen for it, as `x86_64, openblas 0.3.31 SkylakeX`.

    The same code gives other last bits where other kernels add in another order. Only libraries that are loaded are
    named, so ask after training.
    """
    from threadpoolctl import threadpool_info

    kernels = {
        " ".join(filter(None, (each["internal_api"], each["version"], each.get("architecture"))))
        for each in threadpool_info()
        if each["user_api"] == "blas"
    }
    return ", ".join([platform.machine(), *sorted(kernels)])


def differences(recorded: Mapping[str, str], commit: str, arithmetic: str) -> list[str]:
    """Why training again may give other bits than a version with the `recorded` tags has, in lines for people.

    `commit` is that of the code that trained again, as `tags` takes it, and `arithmetic` its `numerics`.
    """
    reasons = []
    plain, then = commit.removesuffix("-dirty"), recorded.get("git.commit", "")
    if not then or plain != then or commit.endswith("-dirty") or recorded.get(DIRTY_TAG) == "true":
        reasons.append(
            f"it was trained at commit {then or 'unknown'}, and here is {commit or 'unknown'}: "
            "other code gives other bits"
        )
    if recorded.get(LOCK_TAG, "") not in ("", lock_digest(_LOCK)):
        reasons.append("it was trained with other versions of the packages (requirements.lock)")
    before = recorded.get(NUMERICS_TAG, "")
    if before and before != arithmetic:
        only = "" if reasons else "only the arithmetic differs: "
        reasons.append(
            f"{only}it was trained with {before}, and here is {arithmetic}; where the processor can, "
            "OPENBLAS_CORETYPE chooses the same kernels"
        )
    return reasons or ["code, packages and arithmetic are the recorded ones"]


def lock_digest(lock: Path) -> str:
    """The sha256 of the lock file, or `installed:` and that of the installed packages where there is no such file."""
    if lock.is_file():
        return hashlib.sha256(lock.read_bytes()).hexdigest()
    names = sorted({f"{each.metadata['Name']}=={each.version}" for each in distributions()})
    return f"installed:{hashlib.sha256(chr(10).join(names).encode()).hexdigest()}"
