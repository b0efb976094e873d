"""Flower's options: read-only, and without the arguments of the tasks, which hold Airflow's tokens.

Flower reads this file by its path; names in it are Flower's option names, `format_task` included.
"""

from __future__ import annotations

from typing import Any

read_only = True
persistent = False


def format_task(task: Any) -> Any:
    """Hides the arguments and the result of a task on Flower's pages."""
    task.args = "[hidden]"
    task.kwargs = "[hidden]"
    task.result = "[hidden]"
    return task
