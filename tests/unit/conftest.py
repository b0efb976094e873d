"""The stack's stores, really started, for the tests of what only they can answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.stack.info import StackInfo
from tests.support import stores_in


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackInfo]:
    """A stack of which nothing but the stores is up, in a folder and on ports of its own."""
    with stores_in(tmp_path_factory.mktemp("stores") / "state") as found:
        yield found
