"""Runs that several tests look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import RunningStack


@dataclass(frozen=True)
class Trained:
    """A run that `trackyard run` made, and what it printed."""

    printed: dict[str, Any]

    @property
    def run_id(self) -> str:
        return str(self.printed["dag_run_id"])

    @property
    def version(self) -> str:
        return str(self.printed["model"]["version"])


@pytest.fixture(scope="session")
def real_run(running: RunningStack, advertising: Path) -> Trained:
    """The first run of the stack, on the real data with the default configuration."""
    return Trained(running.cli_json("run", "--data", str(advertising)))
