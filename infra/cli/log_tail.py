"""The end of a log file, and what is added to it, also across its rotation. Effects: reads files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file (else `OSError`), going on in its rotated predecessor (`.1`) where it has too few."""
    lines = _tail(path, count)
    rotated = path.with_name(f"{path.name}.1")
    if len(lines) < count and rotated.exists():
        lines = [*_tail(rotated, count - len(lines)), *lines]
    return lines


def _tail(path: Path, count: int) -> list[str]:
    with path.open(encoding="utf-8", errors="replace") as handle:
        return [line.rstrip("\n") for line in deque(handle, maxlen=count)]


def new_lines(path: Path, wait: Callable[[], object]) -> Iterator[str]:
    """Every line that is added from now on, without an end, to a file that may be rotated, cut or missing for a while.

    `wait` is called whenever there is nothing new.
    """
    handle = _open(path, os.SEEK_END)
    rest = b""
    try:
        while True:
            added = handle.read() if handle else b""
            if added:
                *lines, rest = (rest + added).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in lines)
            elif handle is None or _is_another(path, handle):
                if handle:
                    handle.close()
                handle = _open(path, os.SEEK_SET)
                if handle is None:
                    wait()
            else:
                wait()
    finally:
        if handle:
            handle.close()


def _open(path: Path, whence: int) -> BinaryIO | None:
    try:
        handle = path.open("rb")
    except FileNotFoundError:
        return None
    handle.seek(0, whence)
    return handle


def _is_another(path: Path, handle: BinaryIO) -> bool:
    """Tells whether the file was rotated or cut since it was opened."""
    try:
        now = path.stat()
    except FileNotFoundError:
        # In the middle of its rotation.
        return False
    return now.st_ino != os.fstat(handle.fileno()).st_ino or now.st_size < handle.tell()
