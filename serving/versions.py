"""The registered versions for the dashboard, asked of MLflow by one thread and kept for everybody. Effects: HTTP."""

from __future__ import annotations

from typing import Any, Protocol

from serving.model_copy import one_line

POLL_S = 5.0


class Versions(Protocol):
    """What the board asks of the registry."""

    def versions(self, limit: int = ...) -> list[dict[str, Any]]:
        """The newest versions."""


class VersionBoard:
    """Keeps the versions that MLflow told last.

    Args:
        registry: The registry of one model.
    """

    def __init__(self, registry: Versions) -> None:
        self._registry = registry
        self.versions: list[dict[str, Any]] = []
        self.error: str | None = "it was not asked yet"

    def refresh(self) -> None:
        """Asks once; when MLflow does not answer, what it said before stays and the reason is kept."""
        try:
            self.versions, self.error = self._registry.versions(), None
        except Exception as error:  # noqa: BLE001 - a refresher: the reason is shown, and the old list stays
            self.error = one_line(error)
