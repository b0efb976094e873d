"""A stack that runs elsewhere, in containers say, as the command line sees it: `trackyard --remote URL ...`.

Its logins are those of the `.env` that `trackyard init-env` wrote, or variables of the same names. Effects: `status`
asks each part over HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from infra.deploy import init_env
from infra.servers import airflow_server, tracking_server
from infra.settings import DEFAULT_PORTS
from infra.stack.info import PartStatus
from infra.stack.plan import FLOWER_USER
from ml.errors import BadInput, Misconfigured, one_line

_HEALTH = {"mlflow": "/health", "serving": "/health", "flower": "/healthcheck"}
"""Where each part besides Airflow tells how it is."""
_AIRFLOW_PARTS = {
    "metadatabase": "airflow-api-server",
    "scheduler": "airflow-scheduler",
    "dag_processor": "airflow-dag-processor",
    "triggerer": "airflow-triggerer",
}
"""The parts that Airflow tells of, by its own names for them; if it can tell, its server and database are healthy."""
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class RemoteStack:
    """Where a stack is that somebody else started, and how to log in.

    Attributes:
        urls: The addresses in a browser, by part: airflow, mlflow, serving, flower.
        api_urls: The addresses from here; in a container they are others.
        environ: Variables and logins, from the environment and the `.env` file.
    """

    urls: Mapping[str, str]
    api_urls: Mapping[str, str]
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def at(cls, url: str, environ: Mapping[str, str], env_file: Path) -> RemoteStack:
        """The stack whose Airflow is at an address; `BadInput` where that is no http:// or https:// address.

        The other parts are at the same host's ports, or, where it is called `airflow.NAME`, at `mlflow.NAME` and so on,
        unless `TRACKYARD_MLFLOW_URL` and its like say otherwise. The process's variables win over the `.env` file's,
        which need not be there.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise BadInput(f"{url!r} is no address: --remote takes Airflow's, http://HOST:8080 say")
        settings = {**(init_env.read(env_file) if env_file.exists() else {}), **environ}
        inside = environ.get("TRACKYARD_SERVING_API_URL")
        if inside:
            # In a container the parts have other addresses than in a browser.
            named = {"mlflow": environ.get("MLFLOW_TRACKING_URI"), "serving": inside}
        else:
            named = {name: environ.get(f"TRACKYARD_{name.upper()}_URL") for name in _HEALTH}
        api = {name: named.get(name) or _beside(url, name, settings) for name in _HEALTH}
        api = {"airflow": url.rstrip("/"), **api}
        shown = {name: settings.get(f"TRACKYARD_{name.upper()}_URL") or address for name, address in api.items()}
        return cls(shown, api, settings)

    def logins(self) -> dict[str, dict[str, str]]:
        """The logins for people, as in `StackInfo.logins`; `Misconfigured` where Airflow's or MLflow's is not known."""
        accounts = {
            "airflow": (airflow_server.ADMIN, "AIRFLOW_ADMIN_PASSWORD"),
            "mlflow": (tracking_server.ADMIN, "MLFLOW_ADMIN_PASSWORD"),
            "flower": (FLOWER_USER, "FLOWER_PASSWORD"),
        }
        logins = {
            name: {"url": self.urls[name], "username": user, "password": self.environ[variable]}
            for name, (user, variable) in accounts.items()
            if self.environ.get(variable)
        }
        if not {"airflow", "mlflow"} <= set(logins):
            raise Misconfigured(
                "AIRFLOW_ADMIN_PASSWORD and MLFLOW_ADMIN_PASSWORD are not known: run this where the stack's .env is, "
                "name that file with TRACKYARD_ENV_FILE, or export them"
            )
        return logins

    def client_environ(self) -> dict[str, str]:
        """The variables with which MLflow's client, boto3 and `ml` reach this stack, as its administrator."""
        mlflow = self.logins()["mlflow"]
        passed = (
            *("TRACKYARD_S3_ENDPOINT", "TRACKYARD_S3_BUCKET", "TRACKYARD_DATA_BUCKETS", "TRACKYARD_DATA_HOSTS"),
            *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"),
        )
        return {
            **tracking_server.client_env(),
            "MLFLOW_TRACKING_URI": self.api_urls["mlflow"],
            "MLFLOW_TRACKING_USERNAME": mlflow["username"],
            "MLFLOW_TRACKING_PASSWORD": mlflow["password"],
            "TRACKYARD_SERVING_TOKEN": self.environ.get("SERVING_TOKEN", ""),
            **{name: self.environ[name] for name in passed if self.environ.get(name)},
        }

    @property
    def mail_url(self) -> str:
        """The address of the mail server's API; `Misconfigured` where it is not known here."""
        url = self.environ.get("TRACKYARD_MAIL_URL")
        if not url:
            raise Misconfigured(
                "the mail is not reachable from here: 'docker compose run --rm trackyard mail' on the server shows it"
            )
        return url


def _beside(url: str, name: str, settings: Mapping[str, str]) -> str:
    """The address of a part, from that of Airflow."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host.startswith("airflow."):
        return f"{parts.scheme}://{name}.{parts.netloc.removeprefix('airflow.')}"
    port = settings.get(f"{name.upper()}_PORT") or DEFAULT_PORTS[name]
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def status(stack: RemoteStack) -> list[PartStatus]:
    """Asks every part that can be asked over HTTP; Airflow tells of its scheduler, dag-processor and triggerer."""
    with ThreadPoolExecutor() as pool:
        airflow = pool.submit(_airflow, stack)
        others = pool.map(lambda name: _answers(stack, name), _HEALTH)
        return [*airflow.result(), *others]


def _answers(stack: RemoteStack, name: str) -> PartStatus:
    import httpx

    try:
        httpx.get(stack.api_urls[name] + _HEALTH[name], timeout=TIMEOUT_S, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        return PartStatus(name, "failed", one_line(error, limit=None), stack.urls[name], None, None)
    return PartStatus(name, "ready", "answers", stack.urls[name], None, None)


def _airflow(stack: RemoteStack) -> list[PartStatus]:
    import httpx

    url = stack.urls["airflow"]
    try:
        answer = httpx.get(f"{stack.api_urls['airflow']}/api/v2/monitor/health", timeout=TIMEOUT_S, trust_env=False)
        health = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        return [PartStatus("airflow-api-server", "failed", one_line(error, limit=None), url, None, None)]
    return [
        PartStatus(part, *_state_of(health[key]["status"]), url if key == "metadatabase" else None, None, None)
        for key, part in _AIRFLOW_PARTS.items()
    ]


def _state_of(health: str | None) -> tuple[str, str]:
    return ("ready", "healthy") if health == "healthy" else ("failed", f"its heartbeat is {health or 'missing'}")
