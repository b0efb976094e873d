"""Updates every lock file and says what changed: `make update`.

Nothing but the lock files changes; where resolving fails, they are put back. Effects: runs `make lock`, which asks the
package index.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock", "infra/image/requirements-build.lock")
RESOLVE = ("make", "--no-print-directory", "lock", "LOCK_FLAGS=--upgrade")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_TELLS_CHANGES = re.compile(r"change|release|news|history|what's new", re.IGNORECASE)
_HOME = re.compile(r"source|repository|github|home", re.IGNORECASE)


@dataclass(frozen=True)
class Change:
    """One package whose version is another now; `old` or `new` is empty where it came or went."""

    package: str
    old: str
    new: str


def pins(text: str) -> dict[str, str]:
    """The versions of a lock file, by package; several, for several Pythons, are joined.

    >>> pins("mlflow[auth]==3.17.2 ; python_version > '3.10'")
    {'mlflow': '3.17.2'}
    """
    versions: dict[str, list[str]] = {}
    for package, version in _PIN.findall(text):
        versions.setdefault(package, []).append(version)
    return {package: " or ".join(each) for package, each in versions.items()}


def changes(old: str, new: str) -> set[Change]:
    """What differs between two texts of a lock file."""
    before, after = pins(old), pins(new)
    return {
        Change(package, before.get(package, ""), after.get(package, ""))
        for package in before.keys() | after.keys()
        if before.get(package) != after.get(package)
    }


def changelog(package: str) -> str:
    """Where an installed package says that it tells its changes, or its home page; empty for one that is not here."""
    try:
        addresses = metadata(package).get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    named = [str(each).partition(", ") for each in addresses]
    for wanted in (_TELLS_CHANGES, _HOME):
        for label, _, address in named:
            if wanted.search(label):
                return address
    return ""


def table(found: Iterable[Change], link: Callable[[str], str] = changelog) -> str:
    """The changes as lines for people, by package, with a mark where the first number of the version moved."""
    rows = [("", "package", "old", "new", "changes")]
    for each in sorted(found, key=lambda change: (change.package, change.old)):
        is_major = each.old and each.new and each.old.split(".")[0] != each.new.split(".")[0]
        rows.append(("!" if is_major else "", each.package, each.old or "-", each.new or "-", link(each.package)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def update(root: Path, resolve: Callable[[], None]) -> set[Change]:
    """Resolves the lock files anew.

    Args:
        root: The checkout.
        resolve: Writes the new lock files. Where it fails, the old ones are put back.

    Returns:
        What changed in any of them.
    """
    before = {name: (root / name).read_text(encoding="utf-8") for name in LOCKS}
    try:
        resolve()
    except BaseException:
        _write(root, before)
        raise
    return set().union(*(changes(text, (root / name).read_text(encoding="utf-8")) for name, text in before.items()))


def _write(root: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")


def _resolve() -> None:
    subprocess.run(RESOLVE, cwd=ROOT, check=True)


def main() -> None:
    """Updates the checkout's own lock files."""
    try:
        found = update(ROOT, _resolve)
    except subprocess.CalledProcessError as error:
        sys.exit(f"trackyard: the packages could not be resolved (exit code {error.returncode}); nothing was changed")
    if not found:
        sys.stdout.write("every package is at the newest version that pyproject.toml allows\n")
        return
    sys.stdout.write(f"{table(found)}\n\n! the first number changed. Next: 'make test', then commit the lock files.\n")


if __name__ == "__main__":
    main()
