"""In a process of its own: what MLflow is told before it is imported, and how it is served."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from infra.servers import tracking_server
from tests.support import ROOT

_SERVE = """
import json, os, uvicorn
uvicorn.run = lambda app, **told: print("@@" + json.dumps({"app": app, **told, "env": dict(os.environ)}))
from infra.servers import tracking_process
tracking_process.main()
"""


def _serve(home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _SERVE, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "GIT_PYTHON_REFRESH": "quiet", **env},
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_the_server_is_told_as_mlflows_own_command_tells_it_and_makes_its_tables(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/mlflow.db"
    arguments = tracking_server.arguments(5999, "0.0.0.0", "models")[2:]

    done = _serve(tmp_path, *arguments, MLFLOW_BACKEND_STORE_URI=database, MLFLOW_DISABLE_TELEMETRY="true")

    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.rpartition("@@")[2])
    assert (told["app"], told["factory"]) == ("mlflow.server.auth:create_app", True)
    assert (told["host"], told["port"], told["env"]["_MLFLOW_SGI_NAME"]) == ("0.0.0.0", 5999, "uvicorn")
    assert Path(told["log_config"]).is_file()
    assert told["env"]["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] == "s3://models"
    assert told["env"]["_MLFLOW_SERVER_SERVE_ARTIFACTS"] == "true"
    for store in ("FILE_STORE", "REGISTRY_STORE"):
        assert told["env"][f"_MLFLOW_SERVER_{store}"] == database
    # Clients are sent to the server for artefacts, never to the bucket.
    with sqlite3.connect(tmp_path / "mlflow.db") as tables:
        assert tables.execute("SELECT artifact_location FROM experiments").fetchall() == [("mlflow-artifacts:/0",)]


def test_a_start_that_names_no_bucket_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    done = _serve(tmp_path, "--host", "127.0.0.1", "--port", "5999")

    assert done.returncode == 2
    assert "the following arguments are required: --bucket" in done.stderr
    assert list(tmp_path.iterdir()) == []
