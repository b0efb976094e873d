"""The embedded stack's servers for a backup or a restore: what is refused before any starts, and what is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.backup import archive
from infra.backup.embedded import _forget_versions, backup_stack, restore_stack
from infra.backup.restore import Doors
from infra.backup.sealing import seals
from infra.backup.target import TOKENS
from infra.credentials import Credentials
from ml.errors import BadInput
from serving.web.tokens import TokenFile
from tests.support import settings_of


def test_what_the_service_keeps_of_the_old_state_goes_and_its_tokens_stay(tmp_path: Path) -> None:
    token = TokenFile(tmp_path / TOKENS).create("somebody", ["read"])
    (tmp_path / "ad-click").mkdir()
    (tmp_path / "status.json").write_text("{}")

    _forget_versions(tmp_path)

    assert TokenFile(tmp_path / TOKENS).check(token)
    assert [path.name for path in tmp_path.iterdir() if "token" not in path.name] == []


def _backup(file: Path, secret: str, **changed: str) -> Path:
    """A whole backup of nothing with the seal that a stack gave it, before something of it was changed."""
    with archive.new_file(file) as raw:
        writer = archive.ArchiveWriter(raw, {})
        writer.add_json(archive.KEYS, {"clear": {"airflow_fernet_key": "key"}})
        writer.finish({}, lambda whole: seals({**whole, **changed}, secret))
    return file


def test_a_place_that_is_taken_costs_no_start_of_a_server(tmp_path: Path) -> None:
    file = tmp_path / "old"
    file.touch()

    with pytest.raises(BadInput, match="is there already"):
        backup_stack(settings_of(tmp_path / "home"), file, lambda text: None)

    assert not (tmp_path / "home").exists()


def test_a_backup_that_cannot_be_believed_makes_no_home(tmp_path: Path) -> None:
    file = _backup(tmp_path / "stack.tar.gz", "theirs")

    with pytest.raises(BadInput, match=r"has no seal that can be checked here .*add --trust"):
        restore_stack(settings_of(tmp_path / "home"), file, Doors(lambda text: None))

    assert not (tmp_path / "home").exists()


def test_a_change_to_a_stacks_own_backup_is_found_by_its_own_secret_whoever_trusts_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home")
    settings.home.mkdir()
    secret = Credentials.load_or_create(settings.secrets_file).s3_secret_key
    file = _backup(tmp_path / "stack.tar.gz", secret, made_at="then")

    with pytest.raises(BadInput, match="was changed after it was made"):
        restore_stack(settings, file, Doors(lambda text: None, trust=True))

    assert list(settings.home.iterdir()) == [settings.secrets_file]
