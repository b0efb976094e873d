"""The built wheel, installed where no checkout is: it makes a stack of one's own in an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_own_data import customers
from tests.support import ROOT, clean_environ, port_settings, wait_for

pytestmark = pytest.mark.further

_COPIED = ("ml", "serving", "infra", "dags", "pyproject.toml", "setup.py", "README.md", "LICENSE", "requirements.lock")


@dataclass(frozen=True)
class Installed:
    """A Python environment with the wheel, and an empty folder to work in."""

    bin: Path
    folder: Path
    settings: Mapping[str, str]

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        env = clean_environ(self.folder, **self.settings)
        del env["TRACKYARD_HOME"]
        env["PATH"] = f"{self.bin}{os.pathsep}{env['PATH']}"
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            env=env, cwd=self.folder, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip

    def trackyard(self, *arguments: str) -> str:
        done = self.call("trackyard", *arguments)
        assert done.returncode == 0, f"trackyard {arguments[0]}: {done.stdout[-1500:]} {done.stderr[-1500:]}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.trackyard(*arguments, "--json"))


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def _bring(program: Path, bin_dir: Path) -> None:
    first, _, rest = program.read_bytes().partition(b"\n")
    brought = bin_dir / program.name
    if first.startswith(f"#!{program.parent}/python".encode()):
        brought.write_bytes(f"#!{bin_dir}/python\n".encode() + rest)
        brought.chmod(0o755)
    else:
        brought.symlink_to(program)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the files."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in _COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / "source" / name)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(folder / "source"))
    shutil.rmtree(folder / "source")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Iterator[Installed]:
    """An environment with the wheel and with what requirements.lock names, but without the editable checkout.

    The packages are those of the environment that runs the tests, by a path: its own .pth files, which lead to the
    checkout, count only where they lie. Its programs come along as copies that call this environment's Python.
    """
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    bin_dir = tmp_path / "env" / "bin"
    _pip("--python", str(bin_dir / "python"), "install", "--no-deps", "--no-index", str(wheel))
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))
    for program in Path(sys.executable).parent.iterdir():
        if not (bin_dir / program.name).exists():
            _bring(program, bin_dir)
    folder = tmp_path / "mine"
    folder.mkdir()
    made = Installed(bin_dir, folder, {"TRACKYARD_START_TIMEOUT_S": "400", **port_settings()})
    try:
        yield made
    finally:
        made.call("trackyard", "down")


def test_the_wheel_brings_the_dags_and_the_pages_and_nothing_of_the_checkouts_own(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    for path in sorted((ROOT / "dags").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            assert f"infra/installed/dags/{path.relative_to(ROOT / 'dags')}" in names
    for package in ("ml", "serving", "infra"):
        modules = [str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("__init__.py")]
        assert set(modules) <= set(names)
    assert any(name.endswith("templates/base.html") for name in names)
    assert any(name.endswith("static/style.css") for name in names)
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"ml", "serving", "infra"}
    assert not [name for name in names if "/image/" in name or "/compose/" in name]


def test_an_installed_trackyard_works_in_an_empty_folder(installed: Installed) -> None:
    customers().to_csv(installed.folder / "data.csv", index=False)
    place = installed.call("python", "-c", "import infra, ml, serving; print(infra.__file__, ml.__file__)").stdout
    assert str(ROOT) not in place

    installed.trackyard("init", "data.csv", "--target", "churned")
    installed.trackyard("up")
    ran = installed.json("run")
    wait_for(lambda: installed.json("status")["model"]["version"] == "1", "the champion to be served")
    status = installed.json("status")

    assert (ran["state"], ran["model"]["name"], ran["model"]["version"]) == ("success", "data", "1")
    assert {part["state"] for part in status["parts"]} == {"ready"}
    assert sorted(path.name for path in installed.folder.iterdir()) == [".trackyard", "data.csv", "pipeline.yaml"]
    for file in ("supervisord.conf", "logs/supervisord.log"):
        assert str(ROOT) not in (installed.folder / ".trackyard" / file).read_text()
    assert "wrong" not in {check["state"] for check in installed.json("doctor")}
