"""The file with the secrets: made once, and never written over when something is wrong with it."""

from __future__ import annotations

import json
import stat
from dataclasses import asdict
from pathlib import Path

import pytest

from infra.credentials import Credentials, write_private
from ml.errors import Misconfigured


def test_secrets_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"

    made = Credentials.load_or_create(path)

    assert asdict(Credentials.load_or_create(path)) == asdict(made)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_newer_version_added_is_made_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    older = asdict(Credentials.load_or_create(path))
    del older["mlflow_webhook_key"], older["serving_token"]
    path.write_text(json.dumps(older))

    added = Credentials.load_or_create(path)

    assert asdict(added).items() >= older.items()
    assert asdict(Credentials.load(path)) == asdict(added)


@pytest.mark.parametrize(
    "content",
    ["", "{", "{}", "[]", "null", '"text"', '{"postgres_password": 5}', '{"postgres_password": ""}', "\x00" * 20],
)
def test_a_damaged_file_is_one_line_and_stays_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(content)
    path.chmod(0o600)
    (tmp_path / "postgres").mkdir()

    for read in (Credentials.load, Credentials.load_or_create):
        with pytest.raises(Misconfigured, match=r"secrets\.json (is damaged|lacks).*put a copy") as caught:
            read(path)
        assert "\n" not in str(caught.value)

    assert path.read_text() == content


def test_a_file_that_lost_some_secrets_of_data_that_is_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    kept = asdict(Credentials.load_or_create(path))
    del kept["postgres_password"]
    path.write_text(json.dumps(kept))
    (tmp_path / "postgres").mkdir()

    with pytest.raises(Misconfigured, match="lacks postgres_password"):
        Credentials.load_or_create(path)


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_bytes(b"\xff\xfe\x00")
    path.chmod(0o600)

    with pytest.raises(Misconfigured, match="is damaged"):
        Credentials.load_or_create(path)


def test_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"

    first, second = Credentials.load_or_create(path), Credentials.load_or_create(path)

    assert first == second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(set(json.loads(path.read_text()).values())) == len(json.loads(path.read_text()))


def test_secrets_hide_themselves() -> None:
    secret = Credentials()

    assert secret.redis_password not in repr(secret)
    assert secret.redis_password not in f"{secret}"


def test_secrets_that_others_can_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    Credentials.load_or_create(path)
    path.chmod(0o644)

    with pytest.raises(Misconfigured, match="chmod 600"):
        Credentials.load(path)


def test_a_secret_that_a_newer_version_needs_is_added(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    old = {"redis_password": "kept"}
    write_private(path, json.dumps(old))

    found = Credentials.load_or_create(path)

    assert found.redis_password == "kept"
    assert json.loads(path.read_text())["flower_password"] == found.flower_password
