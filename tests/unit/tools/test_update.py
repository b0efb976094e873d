"""What `make update` says of two lock files, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import update
from tools.update import Change

OLD = """\
# made by make lock
airflow==3.3.2 \\
    --hash=sha256:aa
mlflow[auth]==3.17.2 ; python_version > '3.10' \\
    --hash=sha256:bb
numpy==2.2.1 ; python_version < '3.12' \\
    --hash=sha256:cc
numpy==2.3.0 ; python_version >= '3.12' \\
    --hash=sha256:dd
old-one==1.0
    # via airflow
"""
NEW = """\
airflow==4.0.0 \\
    --hash=sha256:ee
mlflow[auth]==3.17.2 ; python_version > '3.10' \\
    --hash=sha256:ff
numpy==2.3.1 \\
    --hash=sha256:00
new-one==0.1
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in update.LOCKS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(OLD)
    return tmp_path


def test_what_changed_is_told_by_package() -> None:
    found = update.changes(OLD, NEW)

    assert found == {
        Change("airflow", "3.3.2", "4.0.0"),
        Change("numpy", "2.2.1 or 2.3.0", "2.3.1"),
        Change("old-one", "1.0", ""),
        Change("new-one", "", "0.1"),
    }


def test_the_table_marks_a_new_first_number_and_leads_to_the_changelog() -> None:
    shown = update.table(update.changes(OLD, NEW), lambda name: f"https://{name}.example/changes")

    lines = [line.split() for line in shown.splitlines()]
    assert lines[1] == ["!", "airflow", "3.3.2", "4.0.0", "https://airflow.example/changes"]
    assert [line[0] for line in lines[2:]] == ["new-one", "numpy", "old-one"]
    assert lines[-1][:3] == ["old-one", "1.0", "-"]


def test_an_installed_package_says_where_its_changes_are() -> None:
    assert update.changelog("flask").startswith("https://")
    assert update.changelog("not-a-package-of-anybody") == ""


def test_a_package_that_is_in_two_lock_files_is_told_once(checkout: Path) -> None:
    def resolve() -> None:
        for name in update.LOCKS[:2]:
            (checkout / name).write_text(NEW)

    assert len(update.update(checkout, resolve)) == 4


def test_where_resolving_fails_the_lock_files_are_as_before(checkout: Path) -> None:
    def resolve() -> None:
        (checkout / update.LOCKS[0]).write_text(NEW)
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError):
        update.update(checkout, resolve)

    assert all((checkout / name).read_text() == OLD for name in update.LOCKS)
