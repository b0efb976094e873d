"""The stack's stores, really started, for the tests of what only they can answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.settings import Settings
from infra.stack import control
from infra.stack.info import StackInfo
from tests.support import Silent, clean_environ, port_settings

STORES = ("postgres", "redis", "s3", "smtp")
"""The parts that are up in a second or two and answer without Airflow and MLflow."""


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackInfo]:
    """A stack of which nothing but the stores is up, in a folder and on ports of its own."""
    home = tmp_path_factory.mktemp("stores") / "state"
    settings = Settings.from_env(clean_environ(home, **port_settings()))
    try:
        yield control.up(settings, Silent(), STORES)
    finally:
        control.down(settings, Silent())
