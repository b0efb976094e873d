from __future__ import annotations

from pathlib import Path

import pytest

from infra.cli.remote import RemoteStack, status
from ml.errors import BadInput, Misconfigured
from tests.unit.infra.cli.conftest import LOGINS, NO_FILE


def test_the_other_parts_are_beside_airflow() -> None:
    stack = RemoteStack.at("http://server:8080/", {}, NO_FILE)

    assert stack.urls == {
        "airflow": "http://server:8080",
        "mlflow": "http://server:5000",
        "serving": "http://server:5555",
        "flower": "http://server:5556",
    }
    assert stack.api_urls == stack.urls


def test_ports_and_logins_come_from_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MLFLOW_PORT=15000\nAIRFLOW_ADMIN_PASSWORD=x\nMLFLOW_ADMIN_PASSWORD=y\n")
    stack = RemoteStack.at("http://[::1]:8080", {}, tmp_path / ".env")

    assert stack.api_urls["mlflow"] == "http://[::1]:15000"
    assert stack.logins()["mlflow"]["password"] == "y"
    assert stack.client_environ()["MLFLOW_TRACKING_PASSWORD"] == "y"


def test_behind_a_proxy_the_parts_have_names() -> None:
    stack = RemoteStack.at("https://airflow.team.example.com:8443", {}, NO_FILE)

    assert stack.api_urls["mlflow"] == "https://mlflow.team.example.com:8443"


def test_a_variable_names_another_address() -> None:
    stack = RemoteStack.at("http://server:8080", {"TRACKYARD_MLFLOW_URL": "https://tracking.example.com"}, NO_FILE)

    assert stack.api_urls["mlflow"] == stack.urls["mlflow"] == "https://tracking.example.com"


def test_in_a_container_links_and_addresses_differ() -> None:
    inside = {
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "TRACKYARD_SERVING_API_URL": "http://serving:5555",
        "TRACKYARD_AIRFLOW_URL": "https://airflow.example.com",
        "TRACKYARD_MLFLOW_URL": "https://mlflow.example.com",
    }
    stack = RemoteStack.at("http://airflow-api-server:8080", inside, NO_FILE)

    assert stack.api_urls["mlflow"] == "http://mlflow:5000"
    assert stack.api_urls["serving"] == "http://serving:5555"
    assert stack.urls["airflow"] == "https://airflow.example.com"
    assert stack.urls["mlflow"] == "https://mlflow.example.com"


@pytest.mark.parametrize("url", ["server:8080", "ftp://server", "http://user:pw@server:8080", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="--remote"):
        RemoteStack.at(url, {}, NO_FILE)


def test_missing_logins_are_named() -> None:
    with pytest.raises(Misconfigured, match="AIRFLOW_ADMIN_PASSWORD"):
        RemoteStack.at("http://server:8080", {"AIRFLOW_ADMIN_PASSWORD": "x"}, NO_FILE).client_environ()


def test_its_repr_shows_no_login() -> None:
    assert "a-password" not in repr(RemoteStack.at("http://server:8080", LOGINS, NO_FILE))


def test_parts_that_do_not_answer_have_failed() -> None:
    found = status(
        RemoteStack.at("http://127.0.0.1:9", {"MLFLOW_PORT": "9", "SERVING_PORT": "9", "FLOWER_PORT": "9"}, NO_FILE)
    )

    assert {part.state for part in found} == {"failed"}
    assert {part.name for part in found} == {"airflow-api-server", "mlflow", "serving", "flower"}
