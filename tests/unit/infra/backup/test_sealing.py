"""Seals: a changed manifest is told from another stack's, and neither passes by itself."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.backup.sealing import refuse_unsealed, seals
from ml.errors import BadInput

FILE = Path("monday.tar.gz")
MANIFEST = {"made_at": "2026-01-01", "members": {"databases/airflow.sql": {"size": 7, "sha256": "ab"}}}


@cache
def _sealed(stack_secret: str = "ours", passphrase: str = "") -> dict[str, Any]:
    written = {**MANIFEST, "seals": seals(MANIFEST, stack_secret, passphrase)}
    return dict(json.loads(json.dumps(written)))


def _changed(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "members": {"databases/airflow.sql": {"size": 7, "sha256": "cd"}}}


def test_the_stack_that_made_it_needs_no_passphrase() -> None:
    refuse_unsealed(FILE, _sealed(), "ours")


def test_whoever_has_the_passphrase_can_check_it_anywhere() -> None:
    refuse_unsealed(FILE, _sealed(passphrase="correct horse"), "", "correct horse")


@pytest.mark.parametrize(("stack_secret", "passphrase", "trust"), [("ours", "", True), ("", "correct horse", False)])
def test_a_change_is_refused_whoever_trusts_it(stack_secret: str, passphrase: str, trust: bool) -> None:
    changed = _changed(_sealed(passphrase="correct horse"))

    with pytest.raises(BadInput, match=r"monday\.tar\.gz was changed after it was made"):
        refuse_unsealed(FILE, changed, stack_secret, passphrase, trust=trust)


@pytest.mark.parametrize("manifest", [MANIFEST, _sealed("theirs"), _changed(_sealed("theirs"))])
def test_what_cannot_be_checked_needs_trust(manifest: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="--trust") as caught:
        refuse_unsealed(FILE, manifest, "ours", "correct horse")

    assert "\n" not in str(caught.value)
    refuse_unsealed(FILE, manifest, "ours", "correct horse", trust=True)
