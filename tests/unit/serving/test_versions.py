"""The versions for the dashboard are kept while MLflow is away."""

from __future__ import annotations

from typing import Any

from ml.errors import TrackerDown
from serving.versions import VersionBoard


class Registry:
    """Versions, or an error."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def versions(self, limit: int = 20) -> list[dict[str, Any]]:
        if self.error:
            raise self.error
        return [{"version": "1"}]


def test_versions_are_kept_while_the_registry_is_away() -> None:
    registry = Registry()
    board = VersionBoard(registry)
    assert (board.versions, board.error) == ([], "it was not asked yet")
    board.refresh()
    assert (board.versions, board.error) == ([{"version": "1"}], None)
    registry.error = TrackerDown("away")
    board.refresh()

    assert (board.versions, board.error) == ([{"version": "1"}], "away")
