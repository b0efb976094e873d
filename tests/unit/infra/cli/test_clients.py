"""How the command line reaches the servers: real HTTP, and a real MLflow store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest

from infra.cli.clients import fetch_date, fetch_json, load_version, open_airflow, open_store, open_tracker
from infra.cli.remote import RemoteStack
from ml.errors import Misconfigured, StoreDown, Untrusted
from ml.registry.loading import EXAMPLE_TAG
from tests.fakes import QuietHandler, answering, stored
from tests.unit.infra.cli.conftest import LOGINS, NO_FILE

DATE = "Sat, 31 Jan 2026 09:30:15 GMT"


class Server:
    """Answers with the token that it was asked with, remembers logins, which it refuses, and is an error at /broken."""

    def __init__(self) -> None:
        self.logins: list[dict[str, Any]] = []
        self.url = ""

    def handler(self) -> type[QuietHandler]:
        server = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                self.tell(503 if self.path == "/broken" else 200, {"token": self.headers.get("Authorization")})

            def do_POST(self) -> None:
                server.logins.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.tell(401, {"detail": "no"})

            def tell(self, status: int, answer: dict[str, Any]) -> None:
                self.send_response_only(status)
                if self.path != "/undated":
                    self.send_header("Date", DATE)
                self.end_headers()
                texts = {"/page": b"<p>", "/null": b"null", "/list": b"[1]"}
                self.wfile.write(texts.get(self.path) or json.dumps(answer).encode())

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with answering(made.handler()) as made.url:
        yield made


def test_json_is_fetched_with_a_token_or_without_and_past_any_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    assert fetch_json(f"{server.url}/status", "ty_1") == {"token": "Bearer ty_1"}
    assert fetch_json(f"{server.url}/status", "") == {"token": None}
    assert fetch_date(f"{server.url}/status") == DATE


@pytest.mark.parametrize(
    ("path", "error"),
    [("/broken", httpx.HTTPError), ("/page", ValueError), ("/null", ValueError), ("/list", ValueError)],
)
def test_what_is_no_good_answer_is_an_error(server: Server, path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        fetch_json(server.url + path, "")


def test_the_date_is_that_of_any_answer_and_none_where_there_is_none(server: Server) -> None:
    assert fetch_date(f"{server.url}/broken") == DATE
    assert fetch_date(f"{server.url}/undated") is None
    assert fetch_date("http://127.0.0.1:1") is None


def test_airflow_is_asked_as_its_administrator_at_the_address_from_here(server: Server) -> None:
    shown = {"TRACKYARD_AIRFLOW_URL": "https://airflow.example.com"}
    airflow = open_airflow(RemoteStack.at(server.url, {**LOGINS, **shown}, NO_FILE))

    with pytest.raises(Misconfigured, match="refuses 'admin'"):
        airflow.dag("Airflow_Lab2")

    airflow.close()
    assert server.logins == [{"username": "admin", "password": "a-password"}]


@pytest.fixture
def tracking_uri() -> Iterator[None]:
    """Keeps the address that MLflow asks by default, which a client of ours changes."""
    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)


@pytest.mark.usefixtures("tracking_uri")
def test_mlflow_is_asked_at_the_address_from_here() -> None:
    inside = {
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "TRACKYARD_SERVING_API_URL": "http://serving:5555",
        "TRACKYARD_MLFLOW_URL": "https://mlflow.example.com",
    }

    tracker = open_tracker(RemoteStack.at("http://airflow-api-server:8080", {**LOGINS, **inside}, NO_FILE))

    assert tracker.tracking_uri == "http://mlflow:5000"


def test_a_bucket_that_is_not_reachable_says_how_to_reach_it() -> None:
    stack = RemoteStack.at("http://server:8080", LOGINS, NO_FILE)

    with pytest.raises(StoreDown, match="docker compose run --rm trackyard COMMAND"):
        open_store(stack)
    known = RemoteStack.at("http://server:8080", {**LOGINS, "TRACKYARD_S3_BUCKET": "b"}, NO_FILE)
    assert open_store(known).bucket == "b"
    with pytest.raises(Misconfigured, match="trackyard mail"):
        _ = stack.mail_url


@pytest.mark.usefixtures("tracking_uri")
def test_a_version_is_loaded_only_where_it_answers_its_own_example(registry, tmp_path: Path) -> None:
    tracker = registry.tracker
    # MLflow looks for a logged model at its default address, whichever client is asked.
    mlflow.set_tracking_uri(tracker.tracking_uri)
    tags = stored(tmp_path / "model")
    experiment = tracker.create_experiment("models", (tmp_path / "artefacts").as_uri())
    model = tracker.create_logged_model(experiment)
    shutil.copytree(tmp_path / "model", model.artifact_location.removeprefix("file://"))
    tracker.create_registered_model("ad-click")
    for recorded in ({}, {EXAMPLE_TAG: "[2.0]"}):
        tracker.create_model_version("ad-click", f"models:/{model.model_id}", tags={**tags, **recorded})

    loaded = load_version(tracker, "ad-click", "1", tmp_path / "first")

    assert (loaded.name, loaded.version) == ("ad-click", "1")
    with pytest.raises(Untrusted, match="version 2 predicts its input example otherwise than recorded"):
        load_version(tracker, "ad-click", "2", tmp_path / "second")
