"""The key that travels: in clear without a passphrase, and closed with one."""

from __future__ import annotations

import json

import pytest

from infra.backup.keys import opened, sealed
from ml.errors import BadInput, Misconfigured

KEYS = {"airflow_fernet_key": "tfXv0gwYpkk4n7zmHcUrjQ=="}


def test_without_a_passphrase_the_key_is_readable() -> None:
    assert opened(sealed(KEYS, ""), "") == KEYS


def test_with_a_passphrase_it_opens_with_that_one_alone() -> None:
    closed = json.loads(json.dumps(sealed(KEYS, "correct horse")))

    assert KEYS["airflow_fernet_key"] not in json.dumps(closed)
    assert opened(closed, "correct horse") == KEYS
    with pytest.raises(BadInput, match="not the passphrase"):
        opened(closed, "battery staple")
    with pytest.raises(Misconfigured, match="TRACKYARD_BACKUP_PASSPHRASE"):
        opened(closed, "")
