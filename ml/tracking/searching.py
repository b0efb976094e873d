"""All that a search of MLflow's finds, however many pages it has. Effects: reads from MLflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def every(search: Callable[..., Any], **conditions: Any) -> Iterator[Any]:
    """What one of the client's searches finds, each page asked for when it is needed."""
    token: str | None = None
    while True:
        page = search(**conditions, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
