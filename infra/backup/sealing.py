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
from typing import Any, NamedTuple

from infra.backup.keys import stretched
from ml.errors import BadInput

SEALS = "seals"
_PURPOSE = b"trackyard backup seal"


class _Key(NamedTuple):
    """What signs, and what the key may be told by: a seal of another key is no seal that was broken."""

    signing: bytes
    name: str


def seals(manifest: Mapping[str, Any], stack_secret: str, passphrase: str = "") -> dict[str, Any]:
    """The seals of a manifest.

    Args:
        manifest: Everything that the file's last member says, but for its seals.
        stack_secret: A secret that the stack keeps and the backup does not hold.
        passphrase: What closes the backup's keys; empty for none.
    """
    found: dict[str, Any] = {"stack": _seal(_stack_key(stack_secret), manifest)}
    if passphrase:
        salt = secrets.token_bytes(16)
        found["passphrase"] = {
            "salt": base64.b64encode(salt).decode(),
            **_seal(_passphrase_key(passphrase, salt), manifest),
        }
    return found


def refuse_unsealed(
    file: Path, manifest: Mapping[str, Any], stack_secret: str, passphrase: str = "", *, trust: bool = False
) -> None:
    """Looks for a seal that can be checked here.

    Args:
        file: The backup, for the message.
        manifest: Its manifest.
        stack_secret: The stack's secret; empty where there is no stack yet.
        passphrase: The passphrase; empty for none.
        trust: Whether a backup without such a seal may pass.

    Raises:
        BadInput: It was changed after it was made; or it has no such seal and is not trusted.
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
    found = manifest.get(SEALS, {})
    signed = {name: value for name, value in manifest.items() if name != SEALS}
    keys = {}
    if stack_secret and "stack" in found:
        keys["stack"] = _stack_key(stack_secret)
    if passphrase and "passphrase" in found:
        keys["passphrase"] = _passphrase_key(passphrase, base64.b64decode(found["passphrase"]["salt"]))
    for name, key in keys.items():
        if found[name]["key"] == key.name:
            yield hmac.compare_digest(found[name]["hmac"], _seal(key, signed)["hmac"])


def _seal(key: _Key, manifest: Mapping[str, Any]) -> dict[str, str]:
    # As it is read back, so that it is the same whoever writes the JSON.
    content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    return {"key": key.name, "hmac": hmac.new(key.signing, content, hashlib.sha256).hexdigest()}


def _stack_key(secret: str) -> _Key:
    return _key(hmac.new(secret.encode(), _PURPOSE, hashlib.sha512).digest())


def _passphrase_key(passphrase: str, salt: bytes) -> _Key:
    return _key(stretched(passphrase, salt, 64))


def _key(material: bytes) -> _Key:
    return _Key(material[:32], hashlib.sha256(material[32:]).hexdigest()[:16])
