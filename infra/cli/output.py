"""How the command line shows things: tables, sizes, durations, JSON. Plain text unless a terminal reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES: Mapping[str, str] = {
    **dict.fromkeys(("success", "ready", "ok"), "green"),
    **dict.fromkeys(("failed", "wrong"), "bold red"),
    "upstream_failed": "red",
    **dict.fromkeys(("running", "starting"), "cyan"),
    **dict.fromkeys(("up_for_retry", "awaiting_input", "note", "stopped"), "yellow"),
}
"""The colour of a word that stands alone in a cell."""


def say(console: Console, text: str, style: str | None = None) -> None:
    """Prints a line as it is: no markup, no highlighting, no wrapping in a pipe."""
    console.print(Text(printable(text), style=style or ""), soft_wrap=True)


def printable(text: str) -> str:
    """The text without the control characters that could move a terminal's cursor or change its title."""
    return "".join(char if char in "\n\t" or char.isprintable() else "?" for char in text)


def show_json(console: Console, value: Any) -> None:
    """Prints a value as JSON and nothing else, so that a program can read the whole of stdout."""
    console.file.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def show_table(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows under headings: a table on a terminal, columns of plain text in a pipe (never cut short)."""
    if not console.is_terminal:
        for line in plain_lines(headings, rows):
            say(console, line)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell), style=STYLES.get(cell, "")) for cell in row))
    console.print(table)


def show_list(
    console: Console,
    values: Sequence[Any],
    headings: Sequence[str],
    cells_of: Callable[[Any], Sequence[str]],
    *,
    as_json: bool,
    empty: str,
) -> None:
    """Prints a list: as JSON, as a table with the cells of each value, or the line that says why there is nothing."""
    if as_json:
        show_json(console, values)
    elif values:
        show_table(console, headings, [cells_of(each) for each in values])
    else:
        say(console, empty)


def plain_lines(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines with aligned columns, two spaces apart.

    >>> plain_lines(["part", "state"], [["mlflow", "ready"], ["s3", "stopped"]])
    ['part    state', 'mlflow  ready', 's3      stopped']
    """
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def seconds(value: float | None) -> str:
    """A duration for people.

    >>> seconds(0.42), seconds(75), seconds(None)
    ('0.4 s', '1 min 15 s', '-')
    """
    if value is None:
        return "-"
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def mebibytes(value: int | None) -> str:
    """An amount of memory for people.

    >>> mebibytes(3 * 2**20), mebibytes(None)
    ('3 MB', '-')
    """
    return "-" if value is None else f"{value / 2**20:.0f} MB"


def number(value: float | None) -> str:
    """A metric for people, to six digits.

    >>> number(0.97), number(None)
    ('0.970000', '-')
    """
    return "-" if value is None else f"{value:.6f}"


def local_time(value: str | datetime | None) -> str:
    """A moment for people, in their own time zone: an ISO 8601 text or a datetime, with a zone."""
    if not value:
        return "-"
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics that JSON can carry, by name in order: what is no number becomes null.

    Curves and what the machine did (`threshold/f1`, `system/...`) are for MLflow's charts and are left out.
    """
    shown = {name: value for name, value in sorted(metrics.items()) if "/" not in name}
    return {name: value if abs(value) < float("inf") else None for name, value in shown.items()}


def write_file(path: Path, text: str) -> None:
    """Writes a file that appears whole or not at all; `BadInput` where it cannot be written there."""
    from ml.registry.batch_scoring import moved_into_place

    with moved_into_place(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
