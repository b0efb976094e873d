"""What pyproject.toml cannot say: a wheel also brings what a checkout has beside the packages.

`infra.settings` finds it there. An editable install, and the image, which has no use for it, go without.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def revision() -> str:
    """The commit of the checkout, marked `-dirty` where files differ from it; empty where this is none."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


class BuildWithDags(build_py):
    """Builds the packages, and with them the DAGs, the lock and the commit."""

    def run(self) -> None:
        """Builds into an empty folder: what an earlier build left there would come along."""
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        target = Path(self.build_lib) / "infra" / "installed"
        shutil.copytree(ROOT / "dags", target / "dags", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "requirements.lock", target)
        (target / "REVISION").write_text(revision(), encoding="utf-8")


setup(cmdclass={"build_py": BuildWithDags})
