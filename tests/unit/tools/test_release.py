"""Cutting a release, in a repository of the test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tools.release import Refused, release

DAY = date(2030, 1, 31)
PYPROJECT = '[project]\nname = "trackyard"\nversion = "0.1.0"\ndependencies = ["flask"]\n'
CHANGELOG = "# Changelog\n\n## Unreleased\n\n- One thing.\n- Another.\n\n## 0.0.9 (2029-12-01)\n\n- The first.\n"


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The settings of whoever runs the test (a key to sign with, hooks of theirs) have no place here.
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(variable, raising=False)
    _git(tmp_path, "init", "--quiet", "--initial-branch=main")
    _git(tmp_path, "config", "user.name", "Ada")
    _git(tmp_path, "config", "user.email", "ada@example.org")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "-m", "Begin")
    return tmp_path


def _state(root: Path) -> tuple[str, ...]:
    """Everything that a release changes."""
    return (
        _git(root, "rev-parse", "HEAD"),
        _git(root, "status", "--porcelain"),
        _git(root, "tag", "--list"),
        (root / "pyproject.toml").read_text(),
        (root / "CHANGELOG.md").read_text(),
    )


def _passes() -> None:
    pass


def _fails() -> None:
    raise Refused("'make test' failed")


def test_a_release_moves_the_changelog_and_the_version_and_tags_the_commit(checkout: Path) -> None:
    tag = release(checkout, "0.2.0", DAY, _passes)

    assert tag == "v0.2.0"
    assert _git(checkout, "log", "-1", "--format=%s") == "Release 0.2.0"
    assert _git(checkout, "rev-parse", "v0.2.0^{commit}") == _git(checkout, "rev-parse", "HEAD")
    assert _git(checkout, "status", "--porcelain") == ""
    assert (checkout / "pyproject.toml").read_text() == PYPROJECT.replace("0.1.0", "0.2.0")
    assert (checkout / "CHANGELOG.md").read_text() == CHANGELOG.replace(
        "## Unreleased\n", "## Unreleased\n\n## 0.2.0 (2030-01-31)\n"
    )


def test_the_first_release_is_of_the_version_that_stands_there(checkout: Path) -> None:
    release(checkout, "0.1.0", DAY, _passes)

    assert _git(checkout, "show", "--format=", "--name-only", "HEAD") == "CHANGELOG.md"
    assert _git(checkout, "tag", "--list") == "v0.1.0"


def _a_branch(root: Path) -> None:
    _git(root, "checkout", "--quiet", "-b", "work")


def _a_new_file(root: Path) -> None:
    (root / "notes.txt").write_text("mine")


def _a_changed_file(root: Path) -> None:
    (root / "pyproject.toml").write_text(PYPROJECT + "# mine\n")


def _a_tag(root: Path) -> None:
    _git(root, "tag", "v0.2.0")


def _no_changes(root: Path) -> None:
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 0.0.9 (2029-12-01)\n\n- The first.\n")
    _git(root, "commit", "--quiet", "--all", "-m", "Say nothing")


def _no_author(root: Path) -> None:
    _git(root, "config", "user.useConfigOnly", "true")
    _git(root, "config", "--unset", "user.email")


def _a_hook_that_refuses(root: Path) -> None:
    hook = root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'the types are wrong' >&2\nexit 1\n")
    hook.chmod(0o755)


def _a_key_that_is_missing(root: Path) -> None:
    # The commit succeeds and the tag does not.
    _git(root, "config", "tag.gpgSign", "true")
    _git(root, "config", "gpg.program", "false")


@pytest.mark.parametrize(
    ("prepare", "version", "why"),
    [
        (_a_branch, "0.2.0", "'work'"),
        (_a_new_file, "0.2.0", "notes.txt"),
        (_a_changed_file, "0.2.0", "pyproject.toml"),
        (_a_tag, "0.2.0", "v0.2.0 exists"),
        (_no_changes, "0.2.0", "Unreleased"),
        (_no_author, "0.2.0", "'git commit' failed"),
        (_a_hook_that_refuses, "0.2.0", "the types are wrong"),
        (_a_key_that_is_missing, "0.2.0", "'git tag' failed"),
        (_passes, "0.0.10", "below 0.1.0"),
        (_passes, "v0.2.0", "make release VERSION="),
        (_passes, "", "make release VERSION="),
    ],
)
def test_what_speaks_against_a_release_is_said_and_nothing_changes(
    checkout: Path, prepare: Callable[..., None], version: str, why: str
) -> None:
    prepare(*[checkout] if prepare is not _passes else [])
    before = _state(checkout)

    with pytest.raises(Refused, match=why):
        release(checkout, version, DAY, _passes)

    assert _state(checkout) == before


def test_what_does_not_pass_its_checks_is_not_released(checkout: Path) -> None:
    before = _state(checkout)

    with pytest.raises(Refused, match="make test"):
        release(checkout, "0.2.0", DAY, _fails)

    assert _state(checkout) == before


def test_work_that_goes_on_beside_the_checks_is_noticed(checkout: Path) -> None:
    def edits() -> None:
        (checkout / "CHANGELOG.md").write_text(CHANGELOG.replace("Another", "More"))
        _git(checkout, "commit", "--quiet", "--all", "-m", "Go on")

    with pytest.raises(Refused, match="while it was checked"):
        release(checkout, "0.2.0", DAY, edits)

    assert _git(checkout, "tag", "--list") == ""
    assert _git(checkout, "log", "-1", "--format=%s") == "Go on"
