"""What a running stack is: addresses, accounts, and how each of its parts does."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.credentials import Credentials
from infra.servers import airflow_server, tracking_server
from infra.settings import Settings
from infra.stack import ports
from infra.stack.health import NotReady
from infra.stack.parts import PARTS, Part
from infra.stack.plan import FLOWER_USER, Plan
from infra.stack.supervision import Supervisor
from ml.errors import Misconfigured


@dataclass(frozen=True)
class StackInfo:
    """Where a stack that was set up is to be found, and how to log in."""

    plan: Plan

    @classmethod
    def load(cls, settings: Settings) -> StackInfo:
        """Reads what `up` wrote; `Misconfigured` where nothing is set up in the settings' home."""
        chosen = ports.remembered(settings)
        if not chosen or not settings.secrets_file.exists():
            raise Misconfigured(f"nothing is set up in {settings.home}: run 'trackyard up'")
        return cls(Plan(settings, chosen, Credentials.load(settings.secrets_file)))

    @property
    def urls(self) -> dict[str, str]:
        """The address of every part that speaks HTTP: airflow, mlflow, serving, flower, s3."""
        return {part.url: self.plan.url(part.url) for part in PARTS if part.url}

    @property
    def api_urls(self) -> dict[str, str]:
        """The addresses from here: the same, on one machine."""
        return self.urls

    @property
    def mail_dir(self) -> Path:
        """The Maildir with the mail that was sent."""
        return self.plan.settings.mail_dir

    def logins(self) -> dict[str, dict[str, str]]:
        """The logins for people: url, username and password of airflow, mlflow, flower and s3."""
        secret = self.plan.credentials
        accounts = {
            "airflow": (airflow_server.ADMIN, secret.airflow_admin_password),
            "mlflow": (tracking_server.ADMIN, secret.mlflow_admin_password),
            "flower": (FLOWER_USER, secret.flower_password),
            "s3": (secret.s3_access_key, secret.s3_secret_key),
        }
        return {
            name: {"url": self.urls[name], "username": username, "password": password}
            for name, (username, password) in accounts.items()
        }

    def client_environ(self) -> dict[str, str]:
        """The variables with which MLflow's client, boto3 and `ml` reach this stack, as its administrator."""
        return self.plan.task_env()

    def log_file(self, part: str) -> Path:
        """The log of a part; rotated ones end in .1, .2, .3."""
        return self.plan.settings.log_dir / f"{part}.log"


@dataclass(frozen=True)
class PartStatus:
    """How one part is: `state` is ready, starting, stopped or failed; memory in bytes, with its child processes."""

    name: str
    state: str
    detail: str
    url: str | None
    pid: int | None
    memory_bytes: int | None


def status(info: StackInfo, parts: Sequence[Part] = PARTS, supervisor: Supervisor | None = None) -> list[PartStatus]:
    """Looks at every part now; takes at most a few seconds, also when some do not answer."""
    supervisor = supervisor or Supervisor(info.plan)
    processes = supervisor.infos() if supervisor.is_running() else {}
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(lambda part: _status_of(info.plan, part, processes.get(part.name)), parts))


def _status_of(plan: Plan, part: Part, process: dict[str, Any] | None) -> PartStatus:
    url = plan.url(part.url) if part.url else None
    if process is None or process["statename"] in ("STOPPED", "EXITED", "FATAL", "STOPPING"):
        return PartStatus(part.name, "stopped", "not running", url, None, None)
    pid = process["pid"] or None
    memory = _memory(pid) if pid else None
    try:
        return PartStatus(part.name, "ready", part.look(plan), url, pid, memory)
    except NotReady as error:
        state = "failed" if process["statename"] == "BACKOFF" else "starting"
        return PartStatus(part.name, state, str(error), url, pid, memory)


def _memory(pid: int) -> int | None:
    """The proportional memory of a process and its children, in bytes: shared pages are counted once in all."""
    total = 0
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total or None
