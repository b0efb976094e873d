"""What those who change the project rely on: the hook, the versions, the first five minutes."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

import yaml

from tests.support import ROOT
from tools.release import with_release

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def test_a_commit_is_checked_by_the_commands_of_make_lint() -> None:
    """The hook names none of them itself, so there is nothing that the two could say differently."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())

    # A repository of somebody else's would be fetched at the first commit.
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    (hook,) = config["repos"][0]["hooks"]
    assert hook["entry"] == "make lint"
    assert (hook["language"], hook["always_run"], hook["pass_filenames"]) == ("system", True, False)


def test_the_version_stands_in_one_place() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.findall(r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", CHANGELOG, re.MULTILINE)

    assert version("trackyard") == wanted
    assert released[:1] in ([], [wanted])


def test_the_changelog_can_be_released() -> None:
    from datetime import date

    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)

    assert headings[0] == "Unreleased"
    assert "## 9.0.0 (2030-01-01)" in with_release(CHANGELOG, "9.0.0", date(2030, 1, 1))


def test_the_pages_for_contributors_name_what_there_is() -> None:
    for name in ("CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / name).read_text()
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE):
            assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"{name}: make {target}"
        for path in re.findall(r"(?:`|pytest )((?:tests|ml|serving|infra|tools|findings)/[\w/.-]*)", text):
            assert (ROOT / path).exists(), f"{name}: {path}"
