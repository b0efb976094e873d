"""A backup of one deployment, restored into another with other secrets: the same champion, the same predictions.

The other one is set up for people from elsewhere, as docs/deployment.md says: HTTPS at every address of the machine,
all else on this machine alone, and nobody asks the service without a token.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.compose import images
from tests.compose.conftest import PUBLISHED, Deployment, new_deployment
from tests.compose.test_deployment import predict, served_version
from tests.support import wait_for

pytestmark = pytest.mark.further


@pytest.fixture(scope="module")
def elsewhere(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with secrets of its own, of which only the stores run."""
    settings = {"SERVING_TOKENS": "all", "TLS_BIND_ADDRESS": "0.0.0.0"}
    found = new_deployment(tmp_path_factory.mktemp("elsewhere"), **settings)
    try:
        found.compose("up", "-d", "--no-build", "postgres", "s3")
        found.compose("run", "--rm", "-T", "bucket-job")
        found.compose("run", "--rm", "-T", "database-job")
        yield found
    finally:
        found.remove()


def test_a_backup_restored_elsewhere_serves_the_same(deployment: Deployment, elsewhere: Deployment) -> None:
    if served_version(deployment) is None:
        deployment.cli_json("run")
        wait_for(lambda: served_version(deployment) is not None, "a champion to be served", 90)
    versions, before = deployment.cli_json("models"), predict(deployment)

    done = deployment.tool("backup", "backup", "/backups/all.tar.gz", "--force")
    assert "all.tar.gz" in done.stdout
    copy = ("-v", f"{deployment.name}_backups:/from:ro", "-v", f"{elsewhere.name}_backups:/to")
    images.docker("run", "--rm", "--network", "none", *copy, "--entrypoint", "cp", images.OURS,
                  "/from/all.tar.gz", "/to/all.tar.gz")  # fmt: skip
    elsewhere.tool("backup", "restore", "/backups/all.tar.gz", "--force", "--yes", "--trust")
    # Healthy: the service's own check is answered, though nobody is without a token.
    elsewhere.up()

    assert elsewhere.cli_json("models") == versions
    wait_for(lambda: served_version(elsewhere) == served_version(deployment), "the champion to be served", 90)
    assert predict(elsewhere, _token(elsewhere)) == before
    # The accounts are those of the new .env, and the pipeline goes on where it was.
    again = elsewhere.cli_json("run")
    assert int(again["model"]["version"]) == max(int(version["version"]) for version in versions) + 1


def _token(deployment: Deployment) -> str:
    """A token of the service's, made as docs/deployment.md says."""
    making = ("python", "-m", "infra.deploy.container", "trackyard", "token", "create", "somebody")
    return deployment.compose("exec", "-T", "serving", *making).stdout.split()[-1]


def test_nobody_asks_the_service_without_a_token(elsewhere: Deployment) -> None:
    assert elsewhere.get("serving", "/status").status_code == 401
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        predict(elsewhere)
    assert elsewhere.get("serving", "/health").status_code == 200


def test_https_is_for_everybody_and_the_plain_ports_are_not(elsewhere: Deployment) -> None:
    elsewhere.compose("--profile", "tls", "up", "-d", "--no-build", "proxy")
    token = _token(elsewhere)

    def answer(name: str, path: str, **headers: str) -> int:
        host = f"{name}.{elsewhere.env['TLS_DOMAIN']}"
        # Another address than the plain ports are at.
        url = f"https://127.0.0.2:{elsewhere.env['TLS_PORT']}{path}"
        # The certificate is of Caddy's own authority, which this machine does not know.
        with httpx.Client(verify=False, trust_env=False, timeout=10) as client:
            return client.get(url, headers={"Host": host, **headers}, extensions={"sni_hostname": host}).status_code

    wait_for(lambda: answer("airflow", "/api/v2/monitor/health") == 200, "the proxy to answer", 60)
    assert answer("mlflow", "/health") == 200
    assert answer("mlflow", "/") == 401
    assert answer("serving", "/status") == 401
    assert answer("serving", "/status", Authorization=f"Bearer {token}") == 200
    assert answer("flower", "/healthcheck") == 200
    with pytest.raises(httpx.HTTPError):
        answer("unknown", "/")
    for name in PUBLISHED:
        port = int(elsewhere.env[f"{name}_PORT"])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=5)
