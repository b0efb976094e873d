"""Processes of a stack that are found though they hide the mark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.stack import processes


@pytest.fixture
def hidden(tmp_path: Path) -> Iterator[psutil.Process]:
    """A process that notes itself and has no variables, as one that shows its title in their place."""
    code = (
        "import pathlib, sys, time; from infra.stack.processes import note; note(pathlib.Path(sys.argv[1]), 'redis');"
        "print('noted', flush=True); time.sleep(100)"
    )
    root = Path(__file__).resolve().parents[4]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], env={}, cwd=root, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout
        assert started.stdout.readline() == b"noted\n"
        yield psutil.Process(started.pid)
        started.kill()


def test_a_process_that_hides_its_variables_is_found_by_its_note(hidden: psutil.Process, tmp_path: Path) -> None:
    found = processes.processes_of(tmp_path)

    assert [process.pid for process in found] == [hidden.pid]
    assert processes.processes_of(tmp_path / "other") == []


def test_another_process_with_the_number_of_a_noted_one_is_left_alone(hidden: psutil.Process, tmp_path: Path) -> None:
    (tmp_path / "processes" / "redis").write_text(json.dumps([hidden.pid, hidden.create_time() - 60]))

    assert processes.processes_of(tmp_path) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", '["x", 1]', "null", f"[{2**40}, 1.0]"])
def test_a_note_that_cannot_be_read_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "processes").mkdir()
    (tmp_path / "processes" / "redis").write_text(text)

    assert processes.processes_of(tmp_path) == []


def test_the_one_that_asks_is_never_among_them(tmp_path: Path) -> None:
    processes.note(tmp_path, "self")

    assert os.getpid() not in {process.pid for process in processes.processes_of(tmp_path)}
