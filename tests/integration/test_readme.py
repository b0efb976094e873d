"""The README's commands do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from infra.settings import DEFAULT_PORTS
from tests.integration.conftest import Trained
from tests.support import ROOT, RunningStack, clean_environ

BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.partition("  #")[0].strip()
    for language, block in BLOCKS
    if not language
    for line in block.splitlines()
    if line.strip()
]
# `make run` and `make test` are what runs these tests; stopping the stack would end them, and `-f` never ends.
ELSEWHERE = {"make run", "make test", "trackyard down"}
# What is for containers is run by tests/compose, on a Docker engine.
CONTAINERS = ("make env", "docker compose ", "trackyard --remote ")


def _here(command: str, running: RunningStack) -> str:
    for name, port in DEFAULT_PORTS.items():
        command = command.replace(f"127.0.0.1:{port}", f"127.0.0.1:{running.info.ports[name]}")
    return command.removesuffix(" -f").replace("FILE", "my.csv")


def test_the_readme_shows_commands_of_every_kind() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"make", "trackyard", "curl", "docker"}
    assert len(COMMANDS) > 10


def test_the_commands_of_the_readme_work(
    running: RunningStack, real_run: Trained, advertising: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(advertising).rename(columns={"Clicked on Ad": "bought"})
    table.assign(**{"Clicked on Ad": table["bought"]}).to_csv(tmp_path / "my.csv", index=False)
    bin_dir = Path(sys.executable).parent
    env = clean_environ(running.home)
    env["PATH"] = f"{bin_dir}{os.pathsep}{env['PATH']}"

    for command in COMMANDS:
        if command in ELSEWHERE or command.startswith(CONTAINERS):
            continue
        done = subprocess.run(
            ["bash", "-ec", _here(command, running)], env=env, cwd=tmp_path,
            capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout[-500:]} {done.stderr[-500:]}"
        if command.startswith("curl"):
            assert '"version":' in done.stdout, command


@pytest.mark.parametrize("field", [{"test_size": "abc"}, {"test_size": 2}, {"rows": 1}, {"model_name": "../x"}])
def test_the_form_refuses_values_that_are_not_allowed(running: RunningStack, field: dict[str, object]) -> None:
    from ml.errors import BadInput

    with pytest.raises(BadInput, match=next(iter(field))):
        running.trigger("never_runs", **field)
