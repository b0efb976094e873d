"""What the tracking server is told, and how its accounts and its webhook are made."""

from __future__ import annotations

import json
import stat
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.credentials import Credentials
from infra.servers import tracking_server
from tests.support import PORTS

SECRET = Credentials()


def test_nobody_but_the_administrator_may_write_what_they_did_not_make(tmp_path: Path) -> None:
    tracking_server.create(tmp_path / "mlflow", PORTS, SECRET)

    file = tmp_path / "mlflow" / "auth.ini"
    config = ConfigParser(interpolation=None)
    config.read(file)
    told = config["mlflow"]
    assert (told["default_permission"], told["admin_username"]) == ("READ", "admin")
    assert told["authorization_function"] == "infra.servers.tracking_accounts:authenticate"
    assert told["database_uri"].startswith("postgresql://")
    assert told["database_uri"].endswith(f"@127.0.0.1:{PORTS['postgres']}/mlflow_auth")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_server_has_the_addresses_and_secrets_of_its_own_stores(tmp_path: Path) -> None:
    env = tracking_server.env(tmp_path, PORTS, SECRET)

    assert env["MLFLOW_BACKEND_STORE_URI"].endswith(f"@127.0.0.1:{PORTS['postgres']}/mlflow")
    assert env["MLFLOW_S3_ENDPOINT_URL"] == f"http://127.0.0.1:{PORTS['s3']}"
    assert env["MLFLOW_AUTH_CONFIG_PATH"] == str(tmp_path / "auth.ini")
    assert env["MLFLOW_AUTH_ADMIN_PASSWORD"] == SECRET.mlflow_admin_password
    assert env["MLFLOW_SERVER_ALLOWED_HOSTS"] == "localhost,localhost:*,127.0.0.1,127.0.0.1:*"


@pytest.mark.parametrize("env", [tracking_server.fixed_env(), tracking_server.client_env()], ids=["server", "client"])
def test_artefacts_go_through_the_server_and_what_holds_for_all_holds_no_secret(env: dict[str, str]) -> None:
    assert env["MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"] == env["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] == "false"
    assert env["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert not [name for name in env if name.endswith(("_PASSWORD", "_KEY", "_SECRET", "_URI", "_URL"))]


class _Mlflow:
    """MLflow's answers about accounts and webhooks, and what it was asked to change."""

    def __init__(self, users: tuple[str, ...] = (), webhooks: tuple[str, ...] = (), refuses: str = "") -> None:
        self._users, self._webhooks, self._refuses = users, webhooks, refuses
        self.changes: list[tuple[str, str, dict[str, Any]]] = []
        self.logins: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/2.0/mlflow")
        self.logins.add(request.headers["authorization"])
        if path == self._refuses:
            return httpx.Response(403)
        if path == "/users/get":
            return httpx.Response(200 if request.url.params["username"] in self._users else 404)
        if request.method == "GET":
            found = [{"name": name, "webhook_id": f"id of {name}"} for name in self._webhooks]
            return httpx.Response(200, json={"webhooks": found} if found else {})
        self.changes.append((request.method, path, json.loads(request.content)))
        return httpx.Response(200)

    def set_up(self) -> None:
        with httpx.Client(transport=httpx.MockTransport(self)) as client:
            tracking_server.set_up(client, "http://mlflow", "http://serving", SECRET)


def test_the_first_start_makes_the_account_and_the_webhook() -> None:
    mlflow = _Mlflow(webhooks=("somebody's",))

    mlflow.set_up()

    account, webhook = mlflow.changes
    assert account == (
        "POST", "/users/create", {"username": "status", "password": SECRET.mlflow_status_password},
    )  # fmt: skip
    assert webhook[:2] == ("POST", "/webhooks")
    assert (webhook[2]["url"], webhook[2]["secret"]) == ("http://serving/webhooks/mlflow", SECRET.webhook_secret)
    assert (webhook[2]["name"], webhook[2]["status"]) == ("trackyard-serving", "ACTIVE")
    assert webhook[2]["events"] == [
        {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}, {"entity": "MODEL_VERSION_ALIAS", "action": "DELETED"},
    ]  # fmt: skip
    assert mlflow.logins == {httpx.BasicAuth("admin", SECRET.mlflow_admin_password)._auth_header}


def test_another_start_leaves_the_account_and_tells_the_webhook_anew() -> None:
    mlflow = _Mlflow(("status",), ("somebody's", "trackyard-serving"))

    mlflow.set_up()

    [(method, path, webhook)] = mlflow.changes
    assert (method, path) == ("PATCH", "/webhooks/id of trackyard-serving")
    assert (webhook["url"], webhook["secret"]) == ("http://serving/webhooks/mlflow", SECRET.webhook_secret)


@pytest.mark.parametrize("refuses", ["/users/get", "/users/create", "/webhooks"])
def test_a_refusal_ends_the_start(refuses: str) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        _Mlflow(refuses=refuses).set_up()
