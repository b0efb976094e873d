"""The end of a log, and what is added to it."""

from __future__ import annotations

from pathlib import Path

from infra.cli.log_tail import last_lines, new_lines


def _add(log: Path, text: str) -> None:
    with log.open("a") as handle:
        handle.write(text)


def test_last_lines_go_on_in_the_rotated_file(tmp_path: Path) -> None:
    (tmp_path / "a.log.1").write_text("1\n2\n")
    (tmp_path / "a.log").write_text("3\n")

    assert last_lines(tmp_path / "a.log", 2) == ["2", "3"]
    assert last_lines(tmp_path / "a.log", 0) == []


def test_new_lines_are_seen_whole_and_across_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("old\n")

    def rotate() -> None:
        _add(log, "last of old\n")
        log.rename(tmp_path / "a.log.1")
        log.write_text("first of new\n")

    steps = [
        lambda: _add(log, "ha"),
        lambda: _add(log, "lf\n"),
        rotate,
        lambda: log.write_text("cut\n"),
    ]

    lines = new_lines(log, lambda: steps.pop(0)())

    assert [next(lines) for _ in range(4)] == ["half", "last of old", "first of new", "cut"]


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "a.log"

    lines = new_lines(log, lambda: log.write_text("first\n"))

    assert next(lines) == "first"
