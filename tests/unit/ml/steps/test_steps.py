"""The steps' keys and links, and that a DAG file which imports them parses without anything heavy."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ml import steps
from ml.errors import Misconfigured
from ml.settings import TaskSettings
from ml.steps.context import Context

ROOT = Path(__file__).resolve().parents[4]
HEAVY = (
    "pandas",
    "numpy",
    "sklearn",
    "scipy",
    "mlflow",
    "boto3",
    "pyarrow",
    "matplotlib",
    "pandera",
    "skops",
    "airflow",
)
SETTINGS = TaskSettings.from_env(
    {
        "MLFLOW_TRACKING_URI": "http://m:5000",
        "TRACKYARD_S3_BUCKET": "trackyard",
        "TRACKYARD_AIRFLOW_URL": "http://a:8080",
        "TRACKYARD_MLFLOW_URL": "http://public",
    }
)


def test_the_run_key_is_safe_in_searches_and_keys() -> None:
    expected = hashlib.sha256(b"Airflow_Lab2|manual__2026").hexdigest()[:32]

    assert steps.run_key("Airflow_Lab2", "manual__2026") == expected
    assert steps.run_key("Airflow_Lab2", 'it\'s "odd"/..').isalnum()
    assert steps.run_key("a", "b") != steps.run_key("a", "c")


@pytest.mark.parametrize("module", ["ml.config.loading", "ml.errors", "ml.settings", "ml.steps", "ml.steps.rollout"])
def test_importing_it_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


def test_importing_every_module_needs_no_environment_and_says_nothing(tmp_path: Path) -> None:
    names = sorted(f"ml.{path.stem}" for path in (ROOT / "ml").glob("*.py") if path.stem != "__init__")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {', '.join(names)}"

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_step_without_settings_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "TRACKYARD_S3_BUCKET"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(Misconfigured, match="TRACKYARD_S3_BUCKET is not set"):
        steps.load("dag", "run", {})


def test_links_are_quoted() -> None:
    context = Context("Airflow_Lab2", "manual__2026-01-01T00:00:00+00:00/x y", SETTINGS)

    assert context.airflow_link() == (
        "http://a:8080/dags/Airflow_Lab2/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00%2Fx%20y"
    )
    assert context.version_link("ad click", "3") == "http://public/#/models/ad%20click/versions/3"
    assert context.path("config.json") == f"runs/{context.key}/config.json"


def test_a_rollout_has_an_id_that_airflow_takes_whatever_the_run_is_called() -> None:
    long, other = "n" * 248, "n" * 247 + "o"

    assert steps.rollout_id("manual__1") == "rollout__manual__1"
    assert len(steps.rollout_id(long)) <= 248
    assert steps.rollout_id(long) != steps.rollout_id(other)
    assert re.fullmatch(r"[A-Za-z0-9_.~:+-]+", steps.rollout_id(long))


def test_the_form_defaults_come_from_the_named_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("split: {test_size: 0.25}\n")
    monkeypatch.setenv("TRACKYARD_PIPELINE_FILE", str(path))

    assert steps.form_defaults()["test_size"] == 0.25
