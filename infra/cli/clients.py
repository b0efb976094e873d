"""How the command line reaches the stack and its servers: each function opens a client or asks a server.

`infra.cli.session` has them as its defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from ml.errors import StoreDown

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient

    from infra.cli.remote import RemoteStack
    from infra.settings import Settings
    from infra.stack.info import PartStatus, StackInfo
    from infra.stack.startup import Report
    from ml.data.store import Store
    from ml.registry.loading import LoadedModel
    from serving.upstream.airflow import AirflowClient

    AnyStack = StackInfo | RemoteStack


class StackControl(Protocol):
    """What the commands do with the stack as a whole: `infra.stack.control`, whose functions say what each does."""

    def up(self, settings: Settings, report: Report) -> StackInfo: ...  # noqa: D102
    def down(self, settings: Settings, report: Report) -> None: ...  # noqa: D102
    def wipe(self, settings: Settings) -> None: ...  # noqa: D102
    def is_running(self, info: StackInfo) -> bool: ...  # noqa: D102
    def status(self, info: StackInfo) -> list[PartStatus]: ...  # noqa: D102


def open_control() -> StackControl:
    """What starts, stops and looks at the stack on this machine."""
    from infra.stack import control

    return control


def open_airflow(info: AnyStack) -> AirflowClient:
    """Airflow's API, as its administrator."""
    from serving.upstream.airflow import AirflowClient

    login = info.logins()["airflow"]
    return AirflowClient(info.api_urls["airflow"], login["username"], login["password"], timeout_s=10.0)


def open_tracker(info: AnyStack) -> MlflowClient:
    """MLflow's client; its login comes from the variables that `Session.enter` sets."""
    from ml.tracking.runs import client

    return client(info.api_urls["mlflow"])


def open_store(info: AnyStack) -> Store:
    """The data store; `StoreDown` where the stack's bucket is not known here."""
    from ml.data.store import Store
    from ml.settings import TaskSettings

    environ = info.client_environ()
    if not environ.get("TRACKYARD_S3_BUCKET"):
        raise StoreDown(
            "the bucket is not reachable from here: 'docker compose run --rm trackyard COMMAND' on the server "
            "reaches it (its 'data add /host/FILE' puts a file there and prints its address for --data)"
        )
    return Store.from_settings(TaskSettings.from_env(environ))


def load_version(tracker: MlflowClient, name: str, version: str, workdir: Path) -> LoadedModel:
    """A registered version: downloaded to a folder, checked, loaded, and asked its own example."""
    from ml.registry.loading import load_verified
    from ml.registry.serving_check import smoke_test

    loaded = load_verified(tracker, name, version, workdir)
    smoke_test(loaded)
    return loaded


def fetch_json(url: str, token: str) -> dict[str, Any]:
    """The JSON object behind an address, with a token or ""; errors are `httpx.HTTPError` and `ValueError`."""
    import httpx

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.get(url, headers=headers, timeout=5.0, trust_env=False)
    answer.raise_for_status()
    content = answer.json()
    if not isinstance(content, dict):
        raise ValueError(f"what answers at {url} is not the service: it gives no JSON object")
    return content


def fetch_date(url: str) -> str | None:
    """The `Date` header of the answer from an address; None when there is none."""
    import httpx

    try:
        return cast("str | None", httpx.get(url, timeout=5.0, trust_env=False).headers.get("date"))
    except httpx.HTTPError:
        return None
