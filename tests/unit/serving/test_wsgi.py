"""The module that a WSGI server imports, in a process of its own, with every server away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ASK = """
from serving.app import app_from_env
import os
app = app_from_env(os.environ)
client = app.test_client()
assert client.get("/health").text == "ok"
assert client.get("/ready").status_code == 503
found = client.get("/status")
assert found.status_code == 200
assert not found.get_json()["upstream"]["airflow"]["ok"]
print(sorted(thread.name for thread in __import__("threading").enumerate()))
"""


def given(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "TRACKYARD_AIRFLOW_URL": "http://127.0.0.1:9",
        "TRACKYARD_AIRFLOW_USERNAME": "status",
        "TRACKYARD_AIRFLOW_PASSWORD": "a-secret-word",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "TRACKYARD_SERVING_STATE": str(tmp_path / "state"),
    }


def ask(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[3]
    return subprocess.run(
        [sys.executable, "-c", ASK], cwd=root, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_application_answers_with_every_server_away(tmp_path: Path) -> None:
    done = ask(given(tmp_path))

    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("mlflow", "airflow"):
        assert name in done.stdout
    assert "a-secret-word" not in done.stdout + done.stderr


def test_a_missing_setting_is_named_before_anything_starts(tmp_path: Path) -> None:
    done = ask({**given(tmp_path), "TRACKYARD_AIRFLOW_PASSWORD": ""})

    assert done.returncode != 0
    assert "TRACKYARD_AIRFLOW_PASSWORD" in done.stderr
