"""The secrets of the embedded stack: generated once, kept in one file that only its owner can read."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from ml.errors import Misconfigured

_LATER = {"serving_token", "mlflow_webhook_key"}
"""What files have not had from the beginning; it is generated where it is missing."""
_CURE = "put a copy of the file back, or begin anew with another TRACKYARD_HOME"


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
            stored = json.loads(path.read_text())
            if not isinstance(stored, dict) or not all(isinstance(value, str) and value for value in stored.values()):
                raise ValueError("it should hold names and their secrets")
        except FileNotFoundError:
            raise Misconfigured(f"no secrets in {path}: run 'trackyard up' to set the stack up") from None
        except (OSError, ValueError) as error:
            # New secrets would not open the databases that were made with the old ones.
            raise Misconfigured(
                f"{path} is damaged ({error}), and the stack's data opens with no other secrets: {_CURE}"
            ) from error
        if mode & 0o077:
            raise Misconfigured(f"{path} is open to other users (mode {mode:o}): run 'chmod 600 {path}'")
        names = {field.name for field in fields(cls)}
        missing = sorted(names - _LATER - set(stored))
        has_data = any((path.parent / name).is_dir() for name in ("postgres", "s3"))
        if missing and (not stored or has_data):
            raise Misconfigured(f"{path} lacks {', '.join(missing)}, and the stack's data opens with no other: {_CURE}")
        return cls(**{name: value for name, value in stored.items() if name in names})

    @classmethod
    def load_or_create(cls, path: Path) -> Credentials:
        """Reads the secrets, or generates them, whole or not at all, on the first start; `Misconfigured` as `load`."""
        credentials = cls.load(path) if path.exists() else cls()
        text = json.dumps(asdict(credentials), indent=1)
        if not path.exists() or path.read_text() != text:
            write_private(path, text)
        return credentials


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, under a temporary name and then moved into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
