"""Cuts a release: `make release VERSION=1.2.0`.

The version stands in pyproject.toml alone. A release moves what CHANGELOG.md has under *Unreleased* below the new
version, commits the two files and tags the commit. It happens whole or not at all. Effects: git, and the two files.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BRANCH = "main"
_VERSION = re.compile(r'^version = "(\d+\.\d+\.\d+)"$', re.MULTILINE)
_UNRELEASED = re.compile(r"^## Unreleased\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


class Refused(Exception):
    """No release can be cut from here; the message says why and what to do."""


def release(root: Path, version: str, today: date, check: Callable[[], None]) -> str:
    """Cuts a release of the checkout.

    Args:
        root: The checkout.
        version: As `1.2.0`.
        today: The day that the changelog gets.
        check: Raises where the code is not fit to be released; runs before anything is written.

    Returns:
        The tag.

    Raises:
        Refused: The version, the changelog or the checkout does not allow it. Nothing has changed.
    """
    pyproject, changelog, head = _ready(root, version, today)
    check()
    # Checks take minutes, in which somebody may have gone on working.
    if _ready(root, version, today) != (pyproject, changelog, head):
        raise Refused("the checkout changed while it was checked: run it again")
    tag = f"v{version}"
    try:
        (root / "pyproject.toml").write_text(pyproject, encoding="utf-8")
        (root / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
        _git(root, "add", "pyproject.toml", "CHANGELOG.md")
        _git(root, "commit", "--quiet", "-m", f"Release {version}")
        _git(root, "tag", "--annotate", "-m", f"Release {version}", tag)
    except BaseException:
        # The checkout was clean and had no such tag, so nothing but our own lines is lost.
        with suppress(Refused):
            _git(root, "tag", "--delete", tag)
        _git(root, "reset", "--quiet", "--hard", head)
        raise
    return tag


def _ready(root: Path, version: str, today: date) -> tuple[str, str, str]:
    """The two files' new texts and the commit to release, once nothing speaks against it."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise Refused(f"the version is {version!r}: name one, as in 'make release VERSION=1.2.0'")
    branch = _git(root, "rev-parse", "--abbrev-ref", "HEAD")
    if branch != BRANCH:
        raise Refused(f"this is the branch {branch!r}: releases are cut from {BRANCH!r}")
    changed = _git(root, "status", "--porcelain")
    if changed:
        raise Refused(f"files differ from the last commit: commit or remove them\n{changed}")
    if _git(root, "tag", "--list", f"v{version}"):
        raise Refused(f"the tag v{version} exists: choose a higher version")
    return (
        with_version((root / "pyproject.toml").read_text(encoding="utf-8"), version),
        with_release((root / "CHANGELOG.md").read_text(encoding="utf-8"), version, today),
        _git(root, "rev-parse", "HEAD"),
    )


def with_version(pyproject: str, version: str) -> str:
    """The text of pyproject.toml with the version in it.

    Raises:
        Refused: There is no version in it, or a higher one.
    """
    found = _VERSION.search(pyproject)
    if not found:
        raise Refused('pyproject.toml has no line such as version = "1.2.0"')
    if _numbers(version) < _numbers(found[1]):
        raise Refused(f"{version} is below {found[1]}, which pyproject.toml has: choose a higher version")
    return pyproject[: found.start(1)] + version + pyproject[found.end(1) :]


def with_release(changelog: str, version: str, today: date) -> str:
    """The text of the changelog with what is unreleased moved below the version.

    Raises:
        Refused: Nothing is unreleased.
    """
    found = _UNRELEASED.search(changelog)
    if not found or not found[1].strip():
        raise Refused("CHANGELOG.md has nothing under '## Unreleased': say there what the release brings")
    section = f"## Unreleased\n\n## {version} ({today.isoformat()})\n\n{found[1].strip()}\n"
    rest = changelog[found.end() :]
    return changelog[: found.start()] + section + (f"\n{rest}" if rest else "")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(f"'git {arguments[0]}' failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def _run_checks(targets: list[str]) -> None:
    if targets and subprocess.run(["make", "--no-print-directory", *targets], cwd=ROOT, check=False).returncode != 0:
        raise Refused(f"'make {' '.join(targets)}' failed: a release is cut from what passes it")


def main(arguments: list[str]) -> None:
    """Releases this checkout.

    Args:
        arguments: The version, and the make targets that must pass first.
    """
    version, *targets = arguments
    try:
        tag = release(ROOT, version, datetime.now(UTC).date(), lambda: _run_checks(targets))
    except Refused as error:
        sys.exit(f"trackyard: {error}")
    sys.stdout.write(f"{tag} is cut. Publish it: git push --atomic origin {BRANCH} {tag}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
