"""The one secret that must travel with a backup, Airflow's encryption key, closed with a passphrase or not."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from ml.errors import BadInput, Misconfigured

# 2^17 blocks of 1 KiB: 128 MB and half a second for each guess (RFC 7914; OWASP's advice for scrypt).
_SCRYPT = {"n": 2**17, "r": 8, "p": 1, "maxmem": 2**28}


def sealed(keys: dict[str, str], passphrase: str) -> dict[str, Any]:
    """The keys as the backup holds them: in clear, or readable only with the passphrase."""
    if not passphrase:
        return {"clear": keys}
    salt = secrets.token_bytes(16)
    return {
        "salt": base64.b64encode(salt).decode(),
        "sealed": _fernet(passphrase, salt).encrypt(json.dumps(keys).encode()).decode(),
    }


def opened(closed: dict[str, Any], passphrase: str) -> dict[str, str]:
    """The keys from what `sealed` gave; `Misconfigured` without its passphrase, `BadInput` with another one."""
    if "clear" in closed:
        return dict(closed["clear"])
    if not passphrase:
        raise Misconfigured("the backup was made with a passphrase: set TRACKYARD_BACKUP_PASSPHRASE to it")
    key = _fernet(passphrase, base64.b64decode(closed["salt"]))
    try:
        return dict(json.loads(key.decrypt(closed["sealed"].encode())))
    except InvalidToken:
        raise BadInput("TRACKYARD_BACKUP_PASSPHRASE is not the passphrase that the backup was made with") from None


def stretched(passphrase: str, salt: bytes, length: int) -> bytes:
    """So many bytes made from a passphrase, slowly enough that nobody tries many."""
    return hashlib.scrypt(passphrase.encode(), salt=salt, dklen=length, **_SCRYPT)


def _fernet(passphrase: str, salt: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(stretched(passphrase, salt, 32)))
