"""A backup of real stores: what it holds, and what is no backup."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.backup import archive
from infra.backup.backup import backup, described, refuse_place
from infra.backup.target import Target
from ml.errors import BadInput, Misconfigured, PipelineError
from tests.unit.infra.backup.conftest import HEADS, KEY, _fill, _run


def test_a_backup_says_what_it_holds(file: Path) -> None:
    manifest = archive.check(file)[archive.MANIFEST]

    assert manifest["revisions"] == {**HEADS, "airflow_fab": None, "mlflow_auth": None}
    assert manifest["counts"] == {
        "DAG runs": 2, "connections": 0, "variables": 1, "MLflow runs": 1, "registered versions": 2, "objects": 2,
    }  # fmt: skip
    assert [(one["name"], one["key"], one["is_champion"]) for one in manifest["versions"]] == [
        ("ad-click", KEY, True),
        ("old", "", False),
    ]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_backup_without_a_versions_file_leaves_no_file(filled: Target, tmp_path: Path) -> None:
    filled.s3.put_object(Bucket="mlflow", Key=KEY, Body=b"other")

    with pytest.raises(PipelineError, match=r"ad-click version 1 \(1/models/.*differs from its sha256"):
        backup(filled, tmp_path / "stack.tar.gz", lambda text: None)

    assert list(tmp_path.iterdir()) == []
    _fill(filled)


def test_databases_without_tables_are_no_backup(filled: Target, tmp_path: Path) -> None:
    _run(filled, "mlflow", "DROP TABLE alembic_version")

    with pytest.raises(Misconfigured, match="nothing to back up before the stack was started once"):
        backup(filled, tmp_path / "stack.tar.gz", lambda text: None)

    _fill(filled)
    assert list(tmp_path.iterdir()) == []


def test_people_are_told_what_was_kept_and_what_could_not_be_checked(filled: Target, tmp_path: Path) -> None:
    file, said = tmp_path / "stack.tar.gz", list[str]()
    file.write_text("the one before")
    with pytest.raises(BadInput, match="is there already"):
        backup(filled, file, said.append)
    assert (file.read_text(), said) == ("the one before", [])

    backup(filled, file, said.append, force=True)

    assert said[:-1] == [
        *("database airflow", "database mlflow", "database mlflow_auth"),
        *("bucket trackyard: 1 objects", "bucket mlflow: 1 objects"),
        "1 versions say nothing about their file's sha256: they are in the backup, unchecked",
    ]
    counted = "2 DAG runs, 1 variables, 1 MLflow runs, 2 registered versions, 2 objects"
    assert said[-1].startswith(f"{file} is written and checked: {counted}, ")
    archive.check(file)


@pytest.mark.parametrize(
    ("name", "force", "said"),
    [
        ("missing/new", False, "there is no folder .*/missing: make it"),
        ("missing/new", True, "there is no folder"),
        ("old", False, "old is there already: .*add --force to replace it"),
        ("folder", True, "folder is there already"),
    ],
)
def test_a_place_where_no_file_can_or_may_be_made_is_refused(tmp_path: Path, name: str, force: bool, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "old").touch()

    with pytest.raises(BadInput, match=said):
        refuse_place(tmp_path / name, force=force)

    refuse_place(tmp_path / "new", force=False)
    refuse_place(tmp_path / "old", force=True)


def test_what_there_is_none_of_is_not_described() -> None:
    assert described({"DAG runs": 2, "variables": 0, "objects": 31}) == "2 DAG runs, 31 objects"
    assert described({"DAG runs": 0}) == ""
