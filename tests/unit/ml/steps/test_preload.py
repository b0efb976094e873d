"""In a process of its own: whoever preloads imports all that the steps need, and asks nobody for anything."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import ml
from ml.steps import preload
from tests.support import ROOT

_LOADS = """
import json, sys
asked = []
sys.addaudithook(lambda event, _: asked.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
from ml.steps import preload
preload.preload()
print(json.dumps({"modules": sorted(sys.modules), "asked": asked}))
"""


def test_everything_is_imported_and_nobody_is_asked(tmp_path: Path) -> None:
    broken = tmp_path / "pipeline.yaml"
    broken.write_text("split: {test_size: none}\n")

    done = subprocess.run(
        [sys.executable, "-c", _LOADS], cwd=ROOT, env={**os.environ, "TRACKYARD_PIPELINE_FILE": str(broken)},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])

    ours = {module.name for module in pkgutil.walk_packages(ml.__path__, "ml.")}
    assert {*ours, *preload.MODULES} - set(told["modules"]) == set()
    assert {"sklearn.ensemble", "boto3", "mlflow.sklearn", "matplotlib.pyplot"} - set(told["modules"]) == set()
    assert told["asked"] == []
