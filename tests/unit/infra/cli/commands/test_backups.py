"""`trackyard backup` and `restore`: what they refuse before any server is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import clean_environ


def _trackyard(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).parent / "trackyard")
    return subprocess.run(
        [program, *arguments], env=clean_environ(home), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["backup", "new.tar.gz"], 3, "not running"),
        (["restore", "missing.tar.gz"], 2, "cannot be read"),
        (["restore", __file__], 2, "not a Trackyard backup"),
    ],
)
def test_it_is_one_line_and_leaves_no_home(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = _trackyard(tmp_path / "home", *arguments)

    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "home").exists()
