"""Rolling a champion out to the service, and watching whether it stays. Effects: HTTP to the service and to MLflow.

The Airflow task `start_Flask_API` calls this. Which rollout is the live one is a tag on the registered model: the last
one to write it is live, and an older one sees so and ends.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml.errors import Misconfigured, TrackerDown, Unavailable

if TYPE_CHECKING:
    import httpx

TAG = "serving.rollout"
NO_PROMPTS = "tag.`mlflow.prompt.is_prompt` != 'true'"
"""MLflow keeps prompts among its registered models; its own client leaves them out by this filter."""


@dataclass
class Services:
    """Where the service and MLflow are, and how to start the service; from the environment at an entry point."""

    serving_url: str
    mlflow_url: str
    mlflow_login: tuple[str, str] | None
    start_command: str = ""
    serving_token: str = field(default="", repr=False)

    @property
    def registry_url(self) -> str:
        """The address of MLflow's registered models."""
        return f"{self.mlflow_url}/api/2.0/mlflow/registered-models"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Services:
        """Reads the addresses, MLflow's account and any start command; `Misconfigured` names a missing address."""
        # In containers the service has another address for them than for browsers.
        serving_url = environ.get("TRACKYARD_SERVING_API_URL") or environ.get("TRACKYARD_SERVING_URL")
        needed = {"TRACKYARD_SERVING_URL": serving_url, "MLFLOW_TRACKING_URI": environ.get("MLFLOW_TRACKING_URI")}
        missing = [name for name, value in needed.items() if not value]
        if missing:
            raise Misconfigured(f"{', '.join(missing)} is not set: the stack sets it for its parts")
        username = environ.get("MLFLOW_TRACKING_USERNAME")
        login = (username, environ.get("MLFLOW_TRACKING_PASSWORD", "")) if username else None
        return cls(
            str(serving_url),
            environ["MLFLOW_TRACKING_URI"],
            login,
            environ.get("TRACKYARD_SERVING_START", ""),
            environ.get("TRACKYARD_SERVING_TOKEN", ""),
        )


def roll_out(
    rollout_id: str,
    services: Services,
    patience_s: float = 90.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Waits until the service is up and serves the champion, and makes this, by its DAG run's id, the live rollout.

    The service may take `patience_s` seconds, as `clock` counts them.

    Returns:
        `{"name", "version", "url"}` of what is live.

    Raises:
        Unavailable: The service or MLflow did not come that far in time; the message says how far it came.
    """
    deadline = clock() + patience_s
    while True:
        try:
            live = _live_version(services)
            with _registry(services) as client:
                tag = {"name": live["name"], "key": TAG, "value": rollout_id}
                client.post("/set-tag", json=tag).raise_for_status()
            return {**live, "url": services.serving_url}
        except Unavailable as error:
            if clock() > deadline:
                raise
            if isinstance(error, _NotUp) and services.start_command:
                # Asking for a part that runs or is being restarted does nothing.
                subprocess.run(shlex.split(services.start_command), check=False, capture_output=True, timeout=60)
        sleep(0.3)


def nothing_to_roll_out(services: Services) -> str:
    """Why there is nothing to roll out: the served model has no champion, as before a first approval. Else empty."""
    try:
        name = _served(services)["name"]
        if _registered_model(services, name)["aliases"].get("champion") is None:
            return f"{name} has no champion"
    except Unavailable:
        # Whether the service comes up is for the rollout to find out.
        pass
    return ""


class _NotUp(Unavailable):
    """The service does not answer at all."""


def _served(services: Services) -> dict[str, Any]:
    import httpx

    try:
        token = services.serving_token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = httpx.get(f"{services.serving_url}/status", headers=headers, timeout=5)
        return dict(answer.raise_for_status().json()["model"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise _NotUp(f"the service at {services.serving_url} does not answer ({error}): see its log") from error


def _live_version(services: Services) -> dict[str, str]:
    served = _served(services)
    champion = _registered_model(services, served["name"])["aliases"].get("champion")
    if champion is None:
        raise Unavailable(f"{served['name']} has no champion: promote a version")
    if str(served.get("version")) != champion:
        why = served.get("error") or "it has not loaded it yet"
        raise Unavailable(f"the service serves version {served.get('version')}, not champion {champion}: {why}")
    return {"name": served["name"], "version": champion}


@contextmanager
def _registry(services: Services) -> Iterator[httpx.Client]:
    """A client of MLflow's registered models, whose errors become ours."""
    import httpx

    try:
        with httpx.Client(base_url=services.registry_url, auth=services.mlflow_login, timeout=5) as client:
            yield client
    except (httpx.HTTPError, ValueError) as error:
        raise TrackerDown(f"MLflow at {services.mlflow_url} does not answer ({error}): see its log") from error


def _registered_model(services: Services, name: str) -> dict[str, dict[str, str]]:
    with _registry(services) as client:
        answer = client.get("/get", params={"name": name})
        if answer.status_code == 404:
            return {"aliases": {}, "tags": {}}
        return _facts(answer.raise_for_status().json()["registered_model"])


def _facts(model: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {
        "aliases": {alias["alias"]: str(alias["version"]) for alias in model.get("aliases", [])},
        "tags": {tag["key"]: tag["value"] for tag in model.get("tags", [])},
    }


@dataclass
class Watch:
    """Looks again and again at whether a rollout is still the live one and the service answers.

    The service may be silent for `silence_s` seconds, as `clock` counts them. `champions` has the champion of each
    model as the history knows it; None to look at no version. `model` is the one that the rollout put live.
    """

    rollout_id: str
    model: str
    services: Services
    silence_s: float = 60.0
    clock: Callable[[], float] = time.monotonic
    champions: Mapping[str, str] | None = None
    _last_answer: float = field(init=False)

    def __post_init__(self) -> None:
        """Counts the silence from now on."""
        self._last_answer = self.clock()

    async def look(self) -> dict[str, Any] | None:
        """Looks once.

        Returns:
            None while all is well, else how the rollout ended: `{"end": "taken over" | "silent", "detail": text}`; or
            `{"end": "moved", "moved": {model: the champion's version or ""}}`, which ends nothing: the history must
            know of it.
        """
        import httpx

        async with httpx.AsyncClient(timeout=5) as client:
            registered = await self._registered(client)
            live = registered.get(self.model, {"tags": {}})["tags"].get(TAG)
            if live and live != self.rollout_id:
                return {"end": "taken over", "detail": f"rollout {live} took over"}
            moved = self._moved(registered)
            if moved:
                return {"end": "moved", "moved": moved}
            try:
                (await client.get(f"{self.services.serving_url}/health")).raise_for_status()
                self._last_answer = self.clock()
            except httpx.HTTPError as error:
                if self.clock() - self._last_answer >= self.silence_s:
                    why = f"the service at {self.services.serving_url} has not answered for {self.silence_s:.0f} s"
                    return {"end": "silent", "detail": f"{why} ({error or type(error).__name__}): see its log"}
        return None

    def _moved(self, registered: Mapping[str, dict[str, dict[str, str]]]) -> dict[str, str]:
        """The models whose champion is another than the history knows, and where it is now."""
        if self.champions is None:
            return {}
        now = {name: facts["aliases"].get("champion", "") for name, facts in registered.items()}
        return {name: version for name, version in now.items() if version != self.champions.get(name, "")}

    async def _registered(self, client: Any) -> dict[str, dict[str, dict[str, str]]]:
        """The aliases and tags of every registered model; nothing where MLflow does not answer."""
        import httpx

        models: dict[str, dict[str, dict[str, str]]] = {}
        params = {"max_results": "1000", "filter": NO_PROMPTS}
        try:
            while True:
                answer = await client.get(
                    f"{self.services.registry_url}/search", params=params, auth=self.services.mlflow_login
                )
                page = answer.raise_for_status().json()
                models |= {str(model["name"]): _facts(model) for model in page.get("registered_models", [])}
                if not page.get("next_page_token"):
                    return models
                params["page_token"] = str(page["next_page_token"])
        except (httpx.HTTPError, ValueError, KeyError):
            # MLflow being away says nothing about who is live.
            return {}
