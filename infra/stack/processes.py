"""The processes of a stack, found by the mark that each of them carries; whatever else runs is never touched.

The mark is a variable. Some programs (redis, Airflow's API server, Celery) show their title where their variables were;
each part is therefore noted by its number and the moment at which it began, before it becomes what it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_PATIENCE_S = 10.0
_SAME_MOMENT_S = 2.0
"""How far two readings of the moment at which a process began may lie apart: it is counted from the machine's start."""


def note(home: Path, part: str) -> None:
    """Notes this process as a part of the stack in that folder."""
    folder = home / "processes"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / part).write_text(json.dumps([os.getpid(), psutil.Process().create_time()]))


def _noted(home: Path) -> Iterator[psutil.Process]:
    """The processes that were noted and are still the same."""
    folder = home / "processes"
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError, ValueError, TypeError, psutil.Error):
            number, began = json.loads(path.read_text())
            process = psutil.Process(number)
            if abs(process.create_time() - began) <= _SAME_MOMENT_S:
                yield process


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process of the stack in that folder, the process manager included; never the one that asks."""
    own = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    members: dict[int, psutil.Process] = {}
    noted = {process.pid for process in _noted(home)}
    for process in psutil.process_iter():
        try:
            if process.pid in own:
                continue
            if process.pid not in noted and process.environ().get("TRACKYARD_STACK") != str(home):
                continue
            # A process that hides its variables (Airflow's tasks do) is known by its parent.
            for one in (process, *process.children(recursive=True)):
                if one.pid not in own:
                    members[one.pid] = one
        except (psutil.Error, OSError):
            continue
    return list(members.values())


def end_processes(home: Path) -> None:
    """Asks every process of the stack in that folder to end, and kills those that have not after 10 s."""
    asked = processes_of(home)
    for process in asked:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(asked, timeout=_PATIENCE_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=_PATIENCE_S)
