"""The backup file: whole or not at all, and no changed byte goes unseen."""

from __future__ import annotations

import gzip
import io
import json
import random
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from infra.backup import archive
from ml.errors import BadInput, PipelineError


def _write(path: Path, content: bytes = b"x" * 50_000) -> None:
    with archive.new_file(path) as raw:
        writer = archive.ArchiveWriter(raw, {"trackyard": "1.0"})
        writer.add("databases/airflow.sql", io.BytesIO(content))
        writer.add_json("keys.json", {"clear": {}})
        writer.finish({"counts": {}}, lambda manifest: {"sealed": sorted(manifest)})


def test_a_whole_file_is_accepted_and_private(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar.gz"

    _write(path)

    values = archive.check(path)
    manifest = values[archive.MANIFEST]
    assert values[archive.KEYS] == {"clear": {}}
    assert set(manifest["members"]) == {archive.HEADER, "databases/airflow.sql", "keys.json"}
    assert manifest["seals"] == {"sealed": ["counts", "format", "members"]}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [name for name, _, _ in archive.members_of(path)][-1] == archive.MANIFEST


def test_a_file_that_is_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar.gz"
    _write(path, random.Random(1).randbytes(3000))
    whole = path.read_bytes()

    for length in range(1, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"cut short|damaged|not a Trackyard backup"):
            archive.check(path)


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar.gz"
    _write(path, random.Random(1).randbytes(3000))
    whole = path.read_bytes()

    # The first ten bytes are gzip's own: a time and a system, which say nothing about the content.
    for position in range(10, len(whole), 13):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        with pytest.raises(BadInput, match=r"damaged|cut short|not a Trackyard backup"):
            archive.check(path)


def test_a_member_that_was_exchanged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar.gz"
    _write(path)
    with gzip.open(path) as unzipped:
        changed = unzipped.read().replace(b"x" * 1000, b"y" * 1000, 1)
    with gzip.open(path, "wb") as zipped:
        zipped.write(changed)

    with pytest.raises(BadInput, match="damaged"):
        archive.check(path)


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar.gz"
    with archive.new_file(path) as raw:
        writer = archive.ArchiveWriter(raw, {})
        for content in (b"changed", b"checked"):
            writer.add("databases/airflow.sql", io.BytesIO(content))
        writer.finish({}, lambda manifest: {})

    with pytest.raises(BadInput, match="damaged"):
        archive.check(path)


@pytest.mark.parametrize("content", [b"", b"name,age\nx,1\n", gzip.compress(b"no tar", mtime=0)])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)

    with pytest.raises(BadInput) as caught:
        archive.check(path)

    assert "\n" not in str(caught.value)


def test_another_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(__file__, "test.py")

    with pytest.raises(BadInput, match="not a Trackyard backup"):
        archive.check(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"missing\.tar\.gz cannot be read"):
        archive.check(tmp_path / "missing.tar.gz")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar.gz"
    content = json.dumps({"format": archive.FORMAT + 1, "trackyard": "9.0"}).encode()
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(archive.HEADER)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))

    with pytest.raises(BadInput, match=r"Trackyard 9\.0 or newer"):
        archive.check(path)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar.gz"
    path.write_bytes(b"old")

    def fail() -> None:
        with archive.new_file(path) as raw:
            raw.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("backup.tar.gz", b"old")]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with archive.new_file(tmp_path / "backup.tar.gz"):
            raise OSError(28, "No space left on device")

    with pytest.raises(PipelineError, match=r"No space left on device.*nothing is left"):
        fill()

    assert list(tmp_path.iterdir()) == []


def test_two_backups_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar.gz"

    with archive.new_file(path), pytest.raises(BadInput, match="another backup"), archive.new_file(path):
        pass


def test_what_a_killed_backup_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar.gz"
    killed = (
        "import os, sys; from pathlib import Path; from infra.backup import archive\n"
        "with archive.new_file(Path(sys.argv[1])) as raw: raw.write(b'z' * 99_999); raw.flush(); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(path)], check=False)
    assert done.returncode == 9
    assert not path.exists()
    # Whoever could read it before must not read the next one.
    path.with_name(".backup.tar.gz.partial").chmod(0o644)

    _write(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    archive.check(path)
    assert [found.name for found in tmp_path.iterdir()] == ["backup.tar.gz"]
