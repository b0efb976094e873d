"""Rules of the tree that no other tool checks."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGES = ("ml", "serving", "infra")
MOST_OF_MODULE, MOST_OF_FUNCTION = 300, 40
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
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_the_mlflow_folder_does_not_hide_the_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import mlflow; print(mlflow.__file__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert list((ROOT / "mlflow").rglob("*.py")) == []
    assert "site-packages" in done.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_and_its_public_names_are_described(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module says nothing of itself"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} says nothing of itself"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_and_its_functions_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_OF_MODULE
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # What it says of itself and of each argument does not count.
            work = node.body[1:] if ast.get_docstring(node) else node.body
            lines = work[-1].end_lineno - work[0].lineno + 1 if work else 0
            assert lines <= MOST_OF_FUNCTION, f"{node.name} has {lines} lines"


def test_each_module_has_the_test_file_of_its_name_and_no_other_is_there() -> None:
    modules = [path.relative_to(ROOT) for path in MODULES if path.name not in ("__init__.py", "__main__.py")]
    wanted = {ROOT / "tests/unit" / path.parent / f"test_{path.name}" for path in modules}

    there = {path for package in PACKAGES for path in (ROOT / "tests/unit" / package).rglob("test_*.py")}

    assert wanted - there == set(), "each of these is missing"
    assert there - wanted == set(), "none of these has a module"


def test_importing_touches_nothing(tmp_path: Path) -> None:
    # What Airflow imports is based on it.
    of_airflow = ("celery_preload.py", "resting_executor.py")
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if path.name not in (*of_airflow, "__main__.py")
    ]
    code = "import importlib\nfor name in " + repr(names) + ": importlib.import_module(name)"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir() if path.name not in (".cache", ".config")] == []


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


def test_lock_files_name_no_address_and_every_hash() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        pinned = len(re.findall(r"^[a-zA-Z0-9_.\[\]-]+==", text, re.MULTILINE))
        assert pinned > 10
        assert text.count("--hash=sha256:") >= pinned
    assert not (ROOT / "uv.lock").exists()


def test_the_real_data_is_no_part_of_the_project() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "advertising.csv" not in tracked.split()
