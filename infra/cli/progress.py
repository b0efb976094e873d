"""Shows a start, and a DAG run, while they go on: a live table on a terminal, a line for each event in a pipe."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from infra.cli.following import RunView, TaskView
from infra.cli.output import STYLES, printable, say, seconds

_BUSY = frozenset({"starting", "running"})


class Board:
    """A table of names and states that is drawn again as it changes; on anything but a terminal it draws nothing."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8)
        self._spinners: dict[str, Spinner] = {}
        self.is_live = console.is_terminal

    def __enter__(self) -> Self:
        if self.is_live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def draw(self, rows: list[tuple[str, str, str]]) -> None:
        """Shows rows of a name, a state and a detail."""
        if not self.is_live:
            return
        table = Table.grid(padding=(0, 2, 0, 0))
        for name, state, detail in rows:
            mark = self._spinners.setdefault(name, Spinner("dots")) if state in _BUSY else Text(" ")
            table.add_row(mark, name, Text(state, style=STYLES.get(state, "dim")), Text(printable(detail), style="dim"))
        self._live.update(table)

    def say(self, text: str) -> None:
        """Prints a line (above the table)."""
        say(self._console, text)


class StartReport:
    """How a start goes, part by part (`infra.stack.startup.Report`)."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._parts: dict[str, tuple[str, str]] = {}

    def part(self, name: str, state: str, detail: str = "") -> None:
        """A part is now `waiting`, `starting`, `ready` or `failed`."""
        before = self._parts.get(name)
        self._parts[name] = (state, detail)
        self._board.draw([(part, *what) for part, what in self._parts.items()])
        if not self._board.is_live and state in ("ready", "failed") and before != (state, detail):
            self._board.say(f"{name:<22} {state:<7} {detail}".rstrip())

    def say(self, text: str) -> None:
        """Something worth a line of its own."""
        self._board.say(text)


def show_run(board: Board, view: RunView, news: list[TaskView]) -> None:
    """Shows how a DAG run goes: all its tasks on a terminal, else those that are news."""
    if board.is_live:
        rows = [(task.task_id, task.state, _took(task)) for task in view.tasks]
        board.draw([*rows, ("run", view.state, seconds(view.duration_s) if view.duration_s else "")])
        return
    for task in news:
        board.say(task_line(task))


def task_line(task: TaskView) -> str:
    """One task that ended, on one line."""
    again = f"  (try {task.try_number})" if task.try_number > 1 or task.state == "up_for_retry" else ""
    return f"{task.task_id:<28} {task.state:<15} {seconds(task.duration_s):>8}{again}"


def _took(task: TaskView) -> str:
    tries = f"try {task.try_number}" if task.try_number > 1 else ""
    return "  ".join(filter(None, [seconds(task.duration_s) if task.duration_s is not None else "", tries]))
