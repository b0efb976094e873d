"""The embedded MLflow server: its command, its variables, and its accounts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.credentials import Credentials, write_private
from infra.servers import object_store, postgres
from infra.settings import HOST

if TYPE_CHECKING:
    import httpx

ADMIN = "admin"
STATUS = "status"
WEBHOOK = "trackyard-serving"
LOCAL_NAMES = f"localhost,localhost:*,{HOST},{HOST}:*"
"""The names by which clients on this machine may call it."""
_THROUGH_THE_SERVER = {
    # Else the server sends clients to S3 by itself, which they need not reach, and where they have no business.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
}


def arguments(port: int, host: str = HOST, bucket: str = object_store.ARTIFACT_BUCKET) -> list[str]:
    """Python's arguments for the server; whatever is secret is in `env`, out of the process list.

    Args:
        port: The port to listen on.
        host: The address to listen on.
        bucket: Where models and plots are kept.
    """
    return ["-m", "infra.servers.tracking_process", "--host", host, "--port", str(port), "--bucket", bucket]


def create(folder: Path, ports: Mapping[str, int], credentials: Credentials) -> None:
    """Writes the configuration of its accounts."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_auth_file(folder / "auth.ini", postgres.url(ports["postgres"], "mlflow_auth", credentials))


def write_auth_file(path: Path, database: str) -> None:
    """Writes the configuration of the accounts, and the `postgresql://` address of their database.

    Nobody but the administrator may write what they did not make.
    """
    lines = {
        "default_permission": "READ",
        "database_uri": database,
        "admin_username": ADMIN,
        # Basic auth, and the service's account may only read.
        "authorization_function": "infra.servers.tracking_accounts:authenticate",
        # Checking a password costs tens of milliseconds by design; a minute's memory of it keeps each call short.
        "auth_cache_ttl_seconds": 60,
    }
    write_private(path, "[mlflow]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items()))


def fixed_env() -> dict[str, str]:
    """The server's variables that hold no address and no secret."""
    return {
        # The job runner and its seven processes serve features that nothing here uses (460 MB).
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # This process never loads a model, so it need not be able to.
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "AWS_DEFAULT_REGION": object_store.REGION,
        # The one webhook that there is goes to the service, on this machine or on a private network.
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_REQUEST_TIMEOUT": "5",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        **_THROUGH_THE_SERVER,
    }


def env(folder: Path, ports: Mapping[str, int], credentials: Credentials) -> dict[str, str]:
    """The server's variables."""
    return fixed_env() | {
        "MLFLOW_SERVER_ALLOWED_HOSTS": LOCAL_NAMES,
        "MLFLOW_BACKEND_STORE_URI": postgres.url(ports["postgres"], "mlflow", credentials),
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": credentials.mlflow_admin_password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": credentials.mlflow_flask_secret,
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": credentials.mlflow_webhook_key,
        "MLFLOW_S3_ENDPOINT_URL": f"http://{HOST}:{ports['s3']}",
        **object_store.key_env(credentials),
    }


def client_env() -> dict[str, str]:
    """The variables of MLflow's client in a task or a command that hold no address and no secret."""
    return {
        # 0 + 2 + 4 + 8 + 16 + 32 s: a minute's patience, and no more than that in front of a person.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "6",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # MLflow asks for git, and does without it; its library for that refuses to be imported without this.
        "GIT_PYTHON_REFRESH": "quiet",
        **_THROUGH_THE_SERVER,
    }


def set_up(client: httpx.Client, server: str, target: str, credentials: Credentials) -> None:
    """Makes the service's read-only account, and the webhook that tells the service when an alias moves.

    Calling it again sets the webhook's address and secret anew. The service asks by itself as well, so that a webhook
    that gets lost costs a second and nothing else.
    """
    account = {"username": STATUS, "password": credentials.mlflow_status_password}
    webhook = {
        "name": WEBHOOK,
        "url": f"{target}/webhooks/mlflow",
        "events": [{"entity": "MODEL_VERSION_ALIAS", "action": action} for action in ("CREATED", "DELETED")],
        "secret": credentials.webhook_secret,
        "status": "ACTIVE",
    }

    def ask(method: str, path: str, **content: Any) -> httpx.Response:
        login = (ADMIN, credentials.mlflow_admin_password)
        return client.request(method, f"{server}/api/2.0/mlflow{path}", auth=login, timeout=20, **content)

    answer = ask("GET", "/users/get", params={"username": STATUS})
    if answer.status_code == 404:
        answer = ask("POST", "/users/create", json=account)
    answer.raise_for_status()
    webhooks = ask("GET", "/webhooks").raise_for_status().json().get("webhooks", [])
    ids = [one["webhook_id"] for one in webhooks if one["name"] == WEBHOOK]
    answer = ask("PATCH", f"/webhooks/{ids[0]}", json=webhook) if ids else ask("POST", "/webhooks", json=webhook)
    answer.raise_for_status()
