"""A browser, where the machine has one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import RunningStack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install it to run the browser's tests")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def shot() -> Any:
    """Keeps a picture of a page in the folder that `SCREENSHOTS` names; without it, nothing is kept."""

    def keep(page: Any, name: str) -> None:
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(Path(folder) / f"{name}.png"))

    return keep


@pytest.fixture(scope="session")
def shown_run(running: RunningStack) -> str:
    """A finished run for the pages to show."""
    run_id = "seen_in_the_browser"
    if run_id not in {run["dag_run_id"] for run in running.airflow.dag_runs("Airflow_Lab2", limit=100)}:
        assert running.run(run_id) == "success"
    return run_id
