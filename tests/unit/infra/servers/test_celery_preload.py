"""In a process of its own, over a copy of the code: what it imports stays imported, and what it changes is a file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

_WORKER = """
import os
from pathlib import Path
from celery.signals import task_prerun
import infra.servers.celery_preload, ml.errors, pandas

before, libraries = ml.errors, pandas
errors = Path(ml.errors.__file__)
task_prerun.send(sender=None)
import ml.errors
print("seen unchanged:", ml.errors is before)

text = errors.read_text()
errors.write_text(text + "\\nADDED = 1\\n")
task_prerun.send(sender=None)
import ml.errors, ml.steps.context, pandas
print("seen changed:", ml.errors.ADDED, ml.steps.context.UnreadableData is ml.errors.UnreadableData)
print("seen libraries stay:", pandas is libraries)

errors.write_text("this is no Python")
task_prerun.send(sender=None)
errors.write_text(text)
task_prerun.send(sender=None)
import ml.errors
print("seen mended:", hasattr(ml.errors, "ADDED"))
"""


def test_a_changed_file_is_run_by_the_next_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for package in ("ml", "infra", "serving"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    monkeypatch.setenv("TRACKYARD_PRELOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))

    done = subprocess.run(
        [sys.executable, "-c", _WORKER], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )

    assert [line.removeprefix("seen ") for line in done.stdout.splitlines() if line.startswith("seen ")] == [
        "unchanged: True", "changed: 1 True", "libraries stay: True", "mended: False"
    ], done.stdout + done.stderr  # fmt: skip
