"""A start and a run while they go on: lines in a pipe, a table on a terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from infra.cli.following import RunView, TaskView
from infra.cli.progress import Board, StartReport, show_run, task_line

ENDED = TaskView("load_data_task", "success", 0.5, 1)
GOING = TaskView("train_task", "running", 75.0, 2)


def test_in_a_pipe_a_part_is_told_once_it_is_up_or_failed() -> None:
    pipe = StringIO()
    report = StartReport(Board(Console(file=pipe)))

    for state in ("waiting", "starting", "ready", "ready"):
        report.part("postgres", state)
    report.part("s3", "failed", "no space")
    report.part("s3", "failed", "no space left")
    report.say("trying again")

    assert pipe.getvalue().splitlines() == [
        "postgres               ready",
        "s3                     failed  no space",
        "s3                     failed  no space left",
        "trying again",
    ]


def test_in_a_pipe_a_run_is_told_by_what_is_news() -> None:
    pipe = StringIO()

    show_run(Board(Console(file=pipe)), RunView("r", "running", None, (ENDED, GOING)), [ENDED])

    assert pipe.getvalue().splitlines() == [task_line(ENDED)]


def _terminal() -> tuple[StringIO, Console]:
    drawn = StringIO()
    return drawn, Console(file=drawn, force_terminal=True, color_system=None, width=80)


def test_on_a_terminal_every_part_has_a_row_of_its_last_state_that_steers_nothing() -> None:
    drawn, console = _terminal()

    with Board(console) as board:
        report = StartReport(board)
        report.part("postgres", "waiting")
        report.part("s3", "failed", "no \x1b[2J space")
        report.part("postgres", "ready")

    first, second = (line.split() for line in drawn.getvalue().splitlines()[-3:-1])
    assert first[-2:] == ["postgres", "ready"]
    assert second == ["s3", "failed", "no", "?[2J", "space"]


def test_on_a_terminal_every_task_has_a_row_and_the_run_the_last() -> None:
    drawn, console = _terminal()

    with Board(console) as board:
        show_run(board, RunView("r", "success", 8.5, (ENDED, GOING)), [ENDED])

    ended, going, run = (line.split() for line in drawn.getvalue().splitlines()[-4:-1])
    assert ended[-4:] == ["load_data_task", "success", "0.5", "s"]
    # What goes on has a mark before it, which turns.
    assert going[1:] == ["train_task", "running", "1", "min", "15", "s", "try", "2"]
    assert run == ["run", "success", "8.5", "s"]


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (ENDED, "load_data_task               success            0.5 s"),
        (TaskView("a", "failed", 75.0, 3), "a                            failed          1 min 15 s  (try 3)"),
        (TaskView("a", "up_for_retry", 1.0, 1), "a                            up_for_retry       1.0 s  (try 1)"),
        (TaskView("a", "upstream_failed"), "a                            upstream_failed        -"),
    ],
)
def test_a_task_is_one_line_with_its_try_where_that_tells_something(task: TaskView, line: str) -> None:
    assert task_line(task) == line
