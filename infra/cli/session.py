"""What every command gets: the settings, the consoles, and the ways to reach the stack and its servers.

Each way is an argument with a real default, so that a test passes its own. The process's variables are read and, for
MLflow's client and boto3, written here and nowhere else in the command line.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer
from rich.console import Console

from infra.cli import clients
from infra.cli.errors import StackNotUp
from infra.cli.output import say
from infra.settings import Settings
from ml.errors import BadInput

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from infra.cli.clients import AnyStack
    from infra.cli.remote import RemoteStack
    from infra.stack.info import PartStatus, StackInfo
    from ml.config.schema import PipelineConfig
    from ml.data.store import Store
    from ml.registry.loading import LoadedModel
    from serving.upstream.airflow import AirflowClient


_OTHERS = (
    "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
    "MLFLOW_TRACKING_TOKEN", "MLFLOW_REGISTRY_URI",
)  # fmt: skip
"""Variables that people have for other servers and that would win over the stack's own."""


@dataclass
class Session:
    """One call of the command line.

    Attributes:
        control, airflow, tracker, store, load, fetch, server_date: As their defaults in `infra.cli.clients`.
        clock: Seconds that only grow.
        now: The time of day, with its zone.
        interactive: Tells whether somebody can answer a question.
        debug: Whether errors show where they came from.
        remote_url: The address of the Airflow of a stack that runs elsewhere; empty for the one on this machine.
    """

    environ: MutableMapping[str, str] = field(default_factory=lambda: os.environ)
    control: Callable[[], clients.StackControl] = clients.open_control
    airflow: Callable[[AnyStack], AirflowClient] = clients.open_airflow
    tracker: Callable[[AnyStack], MlflowClient] = clients.open_tracker
    store: Callable[[AnyStack], Store] = clients.open_store
    load: Callable[[MlflowClient, str, str, Path], LoadedModel] = clients.load_version
    fetch: Callable[[str, str], dict[str, Any]] = clients.fetch_json
    server_date: Callable[[str], str | None] = clients.fetch_date
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    interactive: Callable[[], bool] = lambda: os.isatty(0)
    debug: bool = False
    remote_url: str = ""

    def __post_init__(self) -> None:
        self.attach(sys.stdout, sys.stderr)

    def attach(self, out: TextIO, errors: TextIO) -> None:
        """Says where output goes. Only a terminal gets colours and moving lines, whatever FORCE_COLOR says."""
        self.out, self.errors = (
            Console(file=stream, force_terminal=stream.isatty(), highlight=False, emoji=False)
            for stream in (out, errors)
        )

    def settings(self) -> Settings:
        """The stack's settings; `Misconfigured` where a `TRACKYARD_*` variable is unknown or cannot be used."""
        return Settings.from_env(self.environ)

    def pipeline_config(self) -> PipelineConfig:
        """What the stack's runs have by default; `Misconfigured` where its file is missing or not allowed."""
        from ml.config.loading import load_config

        return load_config(self.settings().defaults_file)

    def model_name(self, named: str | None) -> str:
        """The registered model that a command is about: the one that was named, or the pipeline file's."""
        return named or self.pipeline_config().model.name

    def remote(self) -> RemoteStack | None:
        """The stack that `--remote` or `TRACKYARD_REMOTE` names, or None; `BadInput` where that is no address."""
        url = self.remote_url or self.environ.get("TRACKYARD_REMOTE", "")
        if not url:
            return None
        from infra.cli.remote import RemoteStack

        return RemoteStack.at(url, self.environ, Path(self.environ.get("TRACKYARD_ENV_FILE") or ".env"))

    def refuse_remote(self, command: str, instead: str) -> None:
        """Ends, with `BadInput`, a command for this machine's stack where one that runs elsewhere was named."""
        if self.remote() is not None:
            raise BadInput(f"'{command}' is for the stack on this machine: {instead}")

    def known_stack(self) -> StackInfo:
        """The stack of this machine, running or not; `StackNotUp` where none was set up in the settings' home."""
        from infra.stack.info import StackInfo

        settings = self.settings()
        if not settings.secrets_file.exists() or not settings.ports_file.exists():
            raise StackNotUp
        return StackInfo.load(settings)

    def running_stack(self) -> AnyStack:
        """The stack, with this process's variables set to reach it; `StackNotUp` where it does not run."""
        info = self.remote() or self.known_stack()
        if not self.is_running(info):
            raise StackNotUp
        self.enter(info)
        return info

    def is_running(self, info: AnyStack) -> bool:
        """Tells whether a stack runs; one that runs elsewhere is taken to."""
        from infra.stack.info import StackInfo

        return not isinstance(info, StackInfo) or self.control().is_running(info)

    def status(self, info: AnyStack) -> list[PartStatus]:
        """Looks at every part of a stack now."""
        from infra.stack.info import StackInfo

        if isinstance(info, StackInfo):
            return self.control().status(info)
        from infra.cli import remote

        return remote.status(info)

    def enter(self, info: AnyStack) -> None:
        """Sets the variables with which MLflow's client and boto3 reach the stack."""
        for name in _OTHERS:
            self.environ.pop(name, None)
        self.environ.update(info.client_environ())
        # Somebody waits in front of the terminal: one more try, then say that the server is away.
        self.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "2"
        for name in ("NO_PROXY", "no_proxy"):
            self.environ[name] = ",".join(filter(None, ["127.0.0.1,localhost", self.environ.get(name, "")]))

    @contextmanager
    def mlflow(self, info: AnyStack) -> Iterator[MlflowClient]:
        """MLflow's client for a stack; what MLflow raises meanwhile becomes `TrackerDown` or `Misconfigured`."""
        from ml.tracking.runs import mapped

        with mapped(info.api_urls["mlflow"]):
            yield self.tracker(info)

    def service_status(self, info: AnyStack) -> dict[str, Any]:
        """What the service says of itself; whatever goes wrong is an `httpx.HTTPError` or a `ValueError`."""
        return self.fetch(f"{info.api_urls['serving']}/status", self.environ.get("TRACKYARD_SERVING_TOKEN", ""))

    def live_model(self, info: AnyStack) -> dict[str, Any] | None:
        """What the service says of the model that it serves: empty for none; None when it does not answer."""
        import httpx

        try:
            return dict(self.service_status(info).get("model") or {})
        except (httpx.HTTPError, ValueError):
            return None

    def agree(self, asking: str, question: str) -> None:
        """Asks whether to go on, and ends the command at a no; `BadInput`, after what asks, where nobody can answer."""
        if not self.interactive():
            raise BadInput(f"{asking}, and nobody can answer here: add --yes")
        typer.confirm(question, abort=True)

    def complain(self, lines: list[str]) -> None:
        """Prints an error on stderr: one line, and hints below it."""
        first, *hints = lines
        say(self.errors, f"trackyard: {first}", style="bold red" if self.errors.is_terminal else None)
        for hint in hints:
            say(self.errors, hint)
