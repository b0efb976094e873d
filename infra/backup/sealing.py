"""The seal of a backup: proof, for whoever knows a secret that is not in the file, that nobody changed it. Pure.

The checksums inside a backup find damage, not a hand: whoever changes a member can change its checksum too. So the
manifest, which has every member's, is signed (HMAC-SHA256): with a key made from the stack's S3 secret, which only that
stack can check, and with one made from the passphrase, if there is one, which can be checked anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.backup.keys import stretched
from ml.errors import BadInput

SEALS = "seals"
_PURPOSE = b"trackyard backup seal"


def seals(manifest: Mapping[str, Any], stack_secret: str, passphrase: str = "") -> dict[str, Any]:
    """The seals of a manifest that has none yet, made with a secret that the stack keeps and the backup does not hold.

    Where there is a passphrase, there is a seal of it as well.
    """
    made: dict[str, Any] = {"stack": _seal(_stack_key(stack_secret), manifest)}
    if passphrase:
        salt = secrets.token_bytes(16)
        seal = _seal(stretched(passphrase, salt, 64), manifest)
        made["passphrase"] = {"salt": base64.b64encode(salt).decode(), **seal}
    return made


def refuse_unsealed(
    file: Path, manifest: Mapping[str, Any], stack_secret: str, passphrase: str = "", *, trust: bool = False
) -> None:
    """Looks for a seal that can be checked here, with what is known of the stack's secret and the passphrase.

    By `BadInput` it refuses a backup that was changed after it was made and, without `trust`, one that has no such
    seal.
    """
    states = list(_states(manifest, stack_secret, passphrase))
    if not all(states):
        raise BadInput(f"{file} was changed after it was made: nothing was restored; take another copy of it")
    if not states and not trust:
        raise BadInput(
            f"{file} has no seal that can be checked here (it is another stack's, or older than seals), and what it "
            "holds would be run: add --trust if you know that nobody changed it"
        )


def _states(manifest: Mapping[str, Any], stack_secret: str, passphrase: str) -> Iterator[bool]:
    """For each seal that one of our keys made: whether it is whole."""
    given = manifest.get(SEALS, {})
    signed = {name: value for name, value in manifest.items() if name != SEALS}
    keys = {}
    if stack_secret and "stack" in given:
        keys["stack"] = _stack_key(stack_secret)
    if passphrase and "passphrase" in given:
        keys["passphrase"] = stretched(passphrase, base64.b64decode(given["passphrase"]["salt"]), 64)
    for name, key in keys.items():
        ours = _seal(key, signed)
        if given[name]["key"] == ours["key"]:
            yield hmac.compare_digest(given[name]["hmac"], ours["hmac"])


def _seal(key: bytes, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Half of the 64 bytes signs; the other names the key, to tell another key's seal from one that was broken."""
    # As it is read back, so that it is the same whoever writes the JSON.
    content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    return {
        "key": hashlib.sha256(key[32:]).hexdigest()[:16],
        "hmac": hmac.new(key[:32], content, hashlib.sha256).hexdigest(),
    }


def _stack_key(secret: str) -> bytes:
    return hmac.new(secret.encode(), _PURPOSE, hashlib.sha512).digest()
