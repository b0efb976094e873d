"""Every command that the README and the documentation show does what they say, typed page by page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from infra.settings import DEFAULT_PORTS
from tests.integration.test_gate import APPROVAL, answer
from tests.integration.test_own_data import customers
from tests.support import DOCUMENTS, PIPELINE, ROOT, RunningStack, clean_environ, typed_lines, wait_for

# How a command begins that this stack cannot run while others use it, and where it is run instead.
ELSEWHERE = {
    "make test": ".ci/run",
    "make unit": ".ci/run",
    ".venv/bin/pytest": ".ci/run",
    "make hooks": "tests/contracts/test_habits.py",
    "make release": "tests/unit/tools/test_release.py",
    "git ": ".ci/run",
    "source ": "tests/integration/test_wheel.py",
    "python3 -m venv": "tests/integration/test_wheel.py",
    "trackyard-env/bin/pip": "tests/integration/test_wheel.py",
    "trackyard down": "tests/integration/test_wheel.py",
    "trackyard backup": "tests/integration/test_backup.py",
    "trackyard restore": "tests/integration/test_backup.py",
    "make env": "tests/compose/conftest.py",
    "trackyard --remote": "tests/compose/test_deployment.py",
    "docker compose": "tests/compose/test_deployment.py",
    "docker run": "tests/compose/test_backup.py",
}
VERSIONED = ("compare", "promote", "lineage", "reproduce")


def commands_of(path: Path) -> list[str]:
    """The commands that a page shows, without their comments, in order."""
    lines = (line.partition("  #")[0].strip() for line in typed_lines(path.read_text()))
    return [command for command in lines if command]


def is_run_here(command: str) -> bool:
    return not command.startswith(tuple(ELSEWHERE))


# What is typed where no checkout is, tests/integration/test_wheel.py types; and the first page shows the README's.
LEFT_OUT = ("install.md", "index.md")
PAGES = [path for path in DOCUMENTS if path.name not in LEFT_OUT and any(map(is_run_here, commands_of(path)))]


@dataclass
class Reader:
    """Somebody who types what a page shows, in a folder with files of their own, beside others on the same stack."""

    stack: RunningStack
    folder: Path
    version_of: dict[str, str]
    """The versions that stand for those that the page names."""
    variables: dict[str, str] = field(default_factory=dict)

    def typed(self, command: str) -> str:
        """The command with this stack's ports, versions and ids in the place of the page's."""
        for name, port in DEFAULT_PORTS.items():
            command = command.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self.stack.info.plan.ports[name]}")
        # The model called `customers` is another test's, and so is what -f would never end.
        command = command.removesuffix(" -f").replace("FILE", "my.csv").replace("customers", "shoppers")
        # Before this stack was there it had no champion.
        command = re.sub(r"(?<=--at )\S+", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", command)
        if command.startswith("make "):
            command = command.replace("make ", f"make -C {ROOT} ", 1)
        if "token revoke" in command:
            command = re.sub(r"\w+$", self.stack.cli_json("token", "list")[-1]["id"], command)
        if command.startswith("trackyard run ") and "model.estimator" in command:
            # Whether the gate finds it good enough is not what a page promises.
            command += " --set promotion.gate.margin=1000"
        words = command.split()
        if words[1] in VERSIONED:
            command = " ".join(self.version_of.get(word, word) for word in words)
        return command

    def type(self, command: str) -> str:
        """Types a command and returns what it prints; its exit code must be 0."""
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.variables[name] = value.replace("$PWD", str(self.folder)).replace("customers", "shoppers")
            return ""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        typed = subprocess.Popen(
            ["bash", "-ec", self.typed(command)],
            env=clean_environ(self.stack.home, PATH=path, **self.variables),
            cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if "mode=approve" in command:
            self._approve(typed)
        printed, _ = typed.communicate(timeout=500)
        assert typed.returncode == 0, f"{command}: {printed[-1500:]}"
        return printed

    def _approve(self, typed: subprocess.Popen[str]) -> None:
        """Answers for the person whom the run asks; a version that is no better than the champion needs no answer."""

        def asked() -> str | None:
            newest = str(self.stack.airflow.dag_runs(PIPELINE, limit=1)[0]["dag_run_id"])
            waits = self.stack.tasks(newest)[APPROVAL]["state"] == "awaiting_input"
            return newest if waits else "nobody" if typed.poll() is not None else None

        if (run_id := wait_for(asked, "the run to ask or to end", pause_s=1)) and run_id != "nobody":
            answer(self.stack, run_id, "Approve", "as shown")


def _valid_versions(running: RunningStack) -> list[str]:
    """The versions that passed the gate, oldest first."""
    return [one.version for one in running.versions() if one.tags.get("validation") == "passed"]


def _files(folder: Path, advertising: Path) -> None:
    """The files that the pages name."""
    visitors = pd.read_csv(advertising)
    visitors.drop(columns="Clicked on Ad").to_csv(folder / "visitors.csv", index=False)
    bought = visitors.assign(bought=visitors["Clicked on Ad"])
    bought.to_csv(folder / "my.csv", index=False)
    shoppers = customers()
    shoppers.to_csv(folder / "shoppers.csv", index=False)
    shoppers.drop(columns="churned").to_csv(folder / "new-shoppers.csv", index=False)


@pytest.mark.parametrize(
    "page",
    # A slow machine types the README alone: the other pages take twice as long as all of its commands.
    [pytest.param(page, marks=() if page.name == "README.md" else pytest.mark.further) for page in PAGES],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_the_commands_of_a_page_work(running: RunningStack, advertising: Path, tmp_path: Path, page: Path) -> None:
    commands = [command for command in commands_of(page) if is_run_here(command)]
    _files(tmp_path, advertising)
    versioned = [command for command in commands if len(command.split()) > 1 and command.split()[1] in VERSIONED]
    numbers = sorted({word for command in versioned for word in command.split() if word.isdigit()}, key=int)
    while numbers and len(_valid_versions(running)) < 3:
        assert running.run(f"for_{page.stem}_{len(running.versions())}") == "success"
    versions = _valid_versions(running)
    reader = Reader(running, tmp_path, dict(zip(reversed(numbers), reversed(versions), strict=False)))
    if numbers:
        # A page promotes its last version but two or its last: this one is neither, nor is one that the page makes.
        assert running.cli("promote", versions[-2], "--reason", "before the page").returncode == 0

    for command in commands:
        printed = reader.type(command)
        if command.startswith("curl"):
            assert '"version":' in printed, command


def test_what_is_run_elsewhere_is_shown_and_has_its_place() -> None:
    shown = [command for path in DOCUMENTS for command in commands_of(path)]

    readme = commands_of(ROOT / "README.md")
    assert {command.split()[0] for command in readme} == {"make", "trackyard", "curl", "docker"}
    assert len(readme) > 10
    for beginning, place in ELSEWHERE.items():
        assert any(command.startswith(beginning) for command in shown), beginning
        assert (ROOT / place).exists(), place
    kinds = {command.split()[0] for command in shown if is_run_here(command)}
    assert kinds == {"make", "trackyard", "curl", "export"}
