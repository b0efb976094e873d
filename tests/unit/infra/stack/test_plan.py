"""What a stack's parts share."""

from __future__ import annotations

from pathlib import Path

from infra.stack.plan import git_commit


def test_the_commit_of_a_wheel_is_the_one_that_it_brought(tmp_path: Path) -> None:
    (tmp_path / "REVISION").write_text("5dd27a9-dirty\n")

    assert git_commit(tmp_path) == "5dd27a9-dirty"
