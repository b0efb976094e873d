"""The processes of a stack, found by the mark that each of them carries; whatever else runs is never touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process of the stack in that folder, the process manager included; never the one that asks."""
    own = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if process.pid in own or process.environ().get("TRACKYARD_STACK") != str(home):
                continue
            # A process that hides its variables (Airflow's tasks do) is known by its parent.
            for one in (process, *process.children(recursive=True)):
                if one.pid not in own:
                    found[one.pid] = one
        except (psutil.Error, OSError):
            continue
    return list(found.values())


def end_processes(processes: Iterable[psutil.Process], patience_s: float = 10.0) -> None:
    """Asks each process to end, and kills those that have not after `patience_s` seconds."""
    asked = list(processes)
    for process in asked:
        _try(process.terminate)
    _, alive = psutil.wait_procs(asked, timeout=patience_s)
    for process in alive:
        _try(process.kill)
    psutil.wait_procs(alive, timeout=patience_s)


def _try(action: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        action()
