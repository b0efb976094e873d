"""The one stack that the tests with servers share."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import mlflow
import pytest

from infra.settings import Settings
from infra.stack import control
from tests.support import RunningStack, Silent, clean_environ, port_settings, real_data

_LOG_LINES = 20
_UP: list[Settings] = []
_BEGAN = time.monotonic()

# What pytest runs by itself; `--hypothesis-profile thorough` looks far longer. A failure prints how to see it again, so
# nothing need be kept.
hypothesis.settings.register_profile("default", max_examples=40, database=None, print_blob=True)
hypothesis.settings.register_profile("thorough", max_examples=2000, database=None, print_blob=True)
hypothesis.settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what needs servers first: `make test` spreads the tests over two processes, each with a stack of its own.

    What starts or stops whole stacks comes last of these, for `--minutes` to leave out first.
    """
    items.sort(key=lambda item: (_needs_no_server(item), item.get_closest_marker("further") is not None))


def _needs_no_server(item: pytest.Item) -> bool:
    return item.path.relative_to(Path(__file__).parent).parts[0] in ("contracts", "unit")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--minutes`."""
    told = "Begin no test marked 'further' after so many minutes, and none with servers after twice as many."
    parser.addoption("--minutes", type=float, help=told)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leaves out what there is no time for, and ends this process's stack once no test needs it.

    An idle stack takes processors from the tests that are left.
    """
    minutes = item.config.getoption("--minutes")
    if minutes is not None and not _needs_no_server(item):
        minutes *= 1 if item.get_closest_marker("further") else 2
        if time.monotonic() - _BEGAN > minutes * 60:
            pytest.skip(f"the tests have run for {minutes:g} minutes already (--minutes)")
    if _UP and _needs_no_server(item):
        control.down(_UP.pop(), Silent())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the end of the parts' logs with the failure of a test that uses them: the stack is gone afterwards."""
    report = yield
    running = getattr(item, "funcargs", {}).get("running")
    if report.failed and isinstance(running, RunningStack):
        for log in sorted((running.home / "logs").glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            report.sections.append((f"the end of {log.name}", "\n".join(lines[-_LOG_LINES:])))
    return report


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack in a folder and on ports of its own, beside anything else that runs; gone at the end."""
    home = tmp_path_factory.mktemp("stack") / "state"
    settings = Settings.from_env(clean_environ(home, TRACKYARD_START_TIMEOUT_S="400", **port_settings()))
    before = dict(os.environ)
    try:
        info = control.up(settings, Silent())
        _UP.append(settings)
        os.environ.update(info.client_environ())
        mlflow.set_tracking_uri(info.urls["mlflow"])
        found = RunningStack(settings, info)
        # Every test finds a champion, whichever comes first.
        assert found.run("first") == "success"
        yield found
    finally:
        os.environ.clear()
        os.environ.update(before)
        control.down(settings, Silent())


@pytest.fixture(scope="session")
def advertising() -> Path:
    """The real data."""
    path = real_data()
    if not path.exists():
        pytest.skip(f"the public advertising data is not at {path}: set ADVERTISING_CSV")
    return path
