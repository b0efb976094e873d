"""The service's pages in a browser with no run, with one, and with five hundred; fed from a recorded state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from serving.settings import ServingSettings
from serving.web.protocol import LimitedHttp
from tests.fakes import Service, stored
from tests.support import wait_for

WIDTHS = (390, 820, 1280)
HOSTILE = "<img src=x onerror=alert(1)>"


class Site:
    """The service over HTTP, with as many runs and versions as a test wants."""

    def __init__(self, settings: ServingSettings, folder: Path, tags: dict[str, str], runs: int) -> None:
        self.runs = runs
        self.service = Service(replace(settings, flower_url="http://127.0.0.1:5556"), folder, tags)
        for number in range(runs):
            state = "failed" if number % 7 == 3 else "success"
            self.service.airflow.add(f"manual__{number:04}", state if number < runs - 1 or runs == 1 else "running")
            self.service.airflow.runs[0]["run_after"] = f"2026-01-{number // 24 + 1:02}T{number % 24:02}:00:00Z"
            self.service.airflow.runs[0]["duration"] = 8.0 + (number * 37 % 50) / 10
        if runs:
            self.service.registry.aliases_now = {"champion": "7"}
            self.service.registry.versions_now = [self._version(number) for number in range(min(runs, 20), 0, -1)]
        for _ in range(8):
            self.service.refresh()
        config = uvicorn.Config(
            self.service.app,
            port=0,
            http=LimitedHttp,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_level="warning",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        wait_for(lambda: self._server.started, "the server")
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)

    def _version(self, number: int) -> dict[str, Any]:
        gate = '{"passed": true, "reasons": []}' if number % 3 else '{"passed": false, "reasons": ["ROC AUC fell"]}'
        return {
            "version": str(number), "aliases": ["champion"] if number == 7 else [], "run_id": "r",
            "dag_run_id": f"manual__{number:04}", "validation": "passed",
            "metrics": dict.fromkeys(("test_accuracy", "test_f1", "test_log_loss"), 0.95)
            | {"test_roc_auc": 0.97 + number % 5 / 300},
            "tags": {"gate.verdict": gate} | ({"promoted.by": HOSTILE} if number == 7 else {}),
        }  # fmt: skip


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("model") / "model"
    return folder, stored(folder)


@pytest.fixture(params=[0, 1, 500])
def site(request: pytest.FixtureRequest, model_folder: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[Site]:
    settings = ServingSettings(
        airflow_url="http://127.0.0.1:9", airflow_username="status", airflow_password="x",
        mlflow_uri="http://127.0.0.1:9", mlflow_url="http://127.0.0.1:9", model_name="ad-click", state_dir=tmp_path,
    )  # fmt: skip
    found = Site(settings, *model_folder, request.param)
    yield found
    found.stop()


def test_every_page_fits_every_width_and_says_nothing_wrong(
    browser: Any, site: Site, shot: Callable[..., None]
) -> None:
    for path in ("/dashboard", "/success", "/docs"):
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                page = context.new_page()
                errors = _errors(page)
                page.goto(site.url + path)
                page.get_by_role("heading").first.wait_for()

                overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert overflow <= 0, f"{path} at {width}"
                assert errors == []
                if scheme == "light" or width == 390:
                    shot(page, f"recorded-{site.runs}{path.replace('/', '-')}-{width}-{scheme}")
                context.close()


def _errors(page: Any) -> list[str]:
    """What the page complains of, as it comes."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda line: found.append(line.text) if line.type == "error" else None)
    return found


@pytest.mark.parametrize("site", [500], indirect=True)
def test_a_run_is_chosen_and_the_readers_place_is_kept(browser: Any, site: Site) -> None:
    page = browser.new_page()
    page.goto(site.url + "/dashboard?page=1")
    page.get_by_role("link", name="manual__0470", exact=True).click()
    page.wait_for_url("**run=manual__0470**")
    site.service.refresh()
    page.evaluate("window.scrollTo(0, 300)")

    page.get_by_text("load_data_task").first.wait_for(timeout=60_000)

    assert page.evaluate("window.scrollY") == 300
    site.service.airflow.add("manual__9999", "success")
    site.service.airflow.runs[0]["run_after"] = "2026-12-31T00:00:00Z"
    site.service.refresh()
    wait_for(lambda: "501 runs" in page.content() or "500 runs" in page.content(), "the new run to be shown")
    assert page.evaluate("window.scrollY") == 300
    page.close()


@pytest.mark.parametrize("site", [1], indirect=True)
def test_the_dashboard_is_walked_through_with_the_keyboard(browser: Any, site: Site) -> None:
    page = browser.new_page()
    page.goto(site.url + "/dashboard")
    seen: list[str] = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent.trim()"))

    assert seen[0] == "To the content"
    assert "manual__0000" in seen
    assert page.get_by_role("navigation", name="Pages").count() == 1
    assert page.get_by_role("table").count() >= 3
    page.close()
