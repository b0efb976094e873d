"""The secrets of the embedded stack: generated once, kept in one file that only its owner can read."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ml.errors import Misconfigured


def _password() -> str:
    return secrets.token_urlsafe(18)


def _long_key() -> str:
    return secrets.token_hex(64)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, repr=False)
class Credentials:
    """Every generated secret. Its repr hides them, so that a log line or a traceback cannot show one."""

    postgres_password: str = field(default_factory=_password)
    postgres_airflow_password: str = field(default_factory=_password)
    postgres_mlflow_password: str = field(default_factory=_password)
    postgres_celery_password: str = field(default_factory=_password)
    redis_password: str = field(default_factory=_password)
    s3_access_key: str = field(default_factory=lambda: "TY" + secrets.token_hex(9).upper())
    s3_secret_key: str = field(default_factory=lambda: secrets.token_hex(20))
    s3_jwt_key: str = field(default_factory=_long_key)
    airflow_admin_password: str = field(default_factory=_password)
    airflow_status_password: str = field(default_factory=_password)
    airflow_fernet_key: str = field(default_factory=_fernet_key)
    airflow_jwt_secret: str = field(default_factory=_long_key)
    airflow_api_secret: str = field(default_factory=_long_key)
    mlflow_admin_password: str = field(default_factory=_password)
    mlflow_status_password: str = field(default_factory=_password)
    mlflow_flask_secret: str = field(default_factory=_long_key)
    flower_password: str = field(default_factory=_password)
    webhook_secret: str = field(default_factory=_password)
    serving_token: str = field(default_factory=_password)
    mlflow_webhook_key: str = field(default_factory=_fernet_key)

    def __repr__(self) -> str:
        """Names the class alone."""
        return "Credentials(**********)"

    @classmethod
    def load(cls, path: Path) -> Credentials:
        """Reads the secrets; what a newer version added is generated and kept.

        Raises:
            Misconfigured: The file is missing, damaged, or readable by other users.
        """
        try:
            mode = path.stat().st_mode & 0o777
            found = _checked(json.loads(path.read_text()))
        except FileNotFoundError:
            raise Misconfigured(f"no secrets in {path}: run 'trackyard up' to set the stack up") from None
        except (OSError, ValueError) as error:
            # New secrets would not open the databases that were made with the old ones.
            raise Misconfigured(
                f"{path} is damaged ({error}), and the stack's data opens with no other secrets: "
                "put a copy of the file back, or begin anew with another TRACKYARD_HOME"
            ) from error
        if mode & 0o077:
            raise Misconfigured(f"{path} is open to other users (mode {mode:o}): run 'chmod 600 {path}'")
        known = {f.name for f in fields(cls)}
        if _FIRST - set(found) and (not found or _has_data(path.parent)):
            missing = ", ".join(sorted(_FIRST - set(found)))
            raise Misconfigured(
                f"{path} lacks {missing}, and the stack's data opens with no other: put a copy of the file back, "
                "or begin anew with another TRACKYARD_HOME"
            )
        return cls(**{name: value for name, value in found.items() if name in known})

    @classmethod
    def load_or_create(cls, path: Path) -> Credentials:
        """Reads the secrets, or generates them on the first start; the file appears whole or not at all.

        Raises:
            Misconfigured: The file is damaged; it is left as it is.
        """
        known = path.exists()
        credentials = cls.load(path) if known else cls()
        whole = json.dumps(asdict(credentials), indent=1)
        if not known or path.read_text() != whole:
            write_private(path, whole)
        return credentials


_LATER = {"serving_token", "mlflow_webhook_key"}
_FIRST = {f.name for f in fields(Credentials)} - _LATER
"""What every file has had from the beginning; whatever came later is generated where it is missing."""


def _has_data(home: Path) -> bool:
    """Whether something was made in a stack's home that opens with its own secrets alone."""
    return any((home / name).is_dir() for name in ("postgres", "s3"))


def _checked(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) and value for value in found.values()):
        raise ValueError("it should hold names and their secrets")
    return found


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, under a temporary name and then moved into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
