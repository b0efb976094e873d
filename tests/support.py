"""What tests share: a stack of their own or the plan of one, and waiting for a condition."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from infra.credentials import Credentials
from infra.settings import DEFAULT_PORTS, INTERNAL_PORTS, Settings
from infra.stack import control, ports
from infra.stack.info import StackInfo, status
from infra.stack.plan import Plan
from ml.tracking import runs
from serving.upstream.airflow import AirflowClient, run_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = "Airflow_Lab2"
ROLLOUT = "Airflow_Lab2_Flask"
T = TypeVar("T")
# What is written for people, and shows them commands.
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def typed_lines(text: str) -> Iterator[str]:
    """The lines of code blocks, as they are typed: fenced without a language, or indented after a `$`."""
    shown = r"^```(\w*)\n(.*?)^```$|^    \$ ([^\n]*)$"
    for language, block, line in re.findall(shown, text, re.MULTILINE | re.DOTALL):
        yield from [line] if line else block.splitlines() if not language else []


def real_data() -> Path:
    """The public advertising data, which lies beside the project and is not part of it."""
    return Path(os.environ.get("ADVERTISING_CSV") or ROOT.parent / "shared" / "data" / "advertising.csv")


def wait_for(look: Callable[[], T], what: str, timeout_s: float = 180.0, pause_s: float = 0.1) -> T:
    """Looks again and again until something true comes back; what an unanswered look raises counts as not yet."""
    deadline = time.monotonic() + timeout_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = look()
            if found:
                return found
            last = found
        except Exception as error:
            last = error
        time.sleep(pause_s)
    raise AssertionError(f"waited {timeout_s:.0f} s for {what}; the last look gave {last!r}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, below those that the system gives to clients.

    A stack listens seconds after its ports were chosen: the tests' two processes choose among odd and even ones.
    """
    first = 10_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 2
    free = (port for port in random.sample(range(first, 19_000, 2), 2_000) if ports.is_free(port))
    return list(islice(free, count))


def clean_environ(home: Path, **settings: str) -> dict[str, str]:
    """The environment of a user who exported nothing but what is given."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TRACKYARD_", "AIRFLOW", "MLFLOW"))
    }
    return {**kept, "TRACKYARD_HOME": str(home), **settings}


def port_settings() -> dict[str, str]:
    """A free port for every part, as settings."""
    return {
        f"TRACKYARD_{name.upper()}_PORT": str(port)
        for name, port in zip(DEFAULT_PORTS, free_ports(len(DEFAULT_PORTS)), strict=True)
    }


PORTS = {name: number for number, name in enumerate((*DEFAULT_PORTS, *INTERNAL_PORTS), 1)}
"""A port for every part of a stack that is never started: nobody listens there, not even a stack of the user's."""


def settings_of(home: Path, **environ: str) -> Settings:
    """The settings of a stack in a folder, with what else is said."""
    return Settings.from_env({"TRACKYARD_HOME": str(home), **environ})


def plan_of(home: Path) -> Plan:
    """The plan of a stack that is never started."""
    return Plan(settings_of(home), PORTS, Credentials())


def open_run(client: MlflowClient, name: str) -> Run:
    """A run of the experiment `model`, as a task opens it: the same one for the same name."""
    run_id = runs.open_run(client, "model", name, {"run_key": runs.run_key("dag", name)})
    return client.get_run(run_id)


class Silent:
    """Listens to a start and keeps what it was told."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, str, str]] = []
        self.said: list[str] = []

    def part(self, name: str, state: str, detail: str = "") -> None:
        self.parts.append((name, state, detail))

    def say(self, text: str) -> None:
        self.said.append(text)


class AirflowOfTests(AirflowClient):
    """Airflow's API, with what only tests ask of it."""

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task handed over."""
        path = f"{run_path(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._http.read_object(self._http.call("GET", path, params={"deserialize": "true"}))["value"]

    def clear(self, dag_id: str, run_id: str, task_ids: list[str]) -> None:
        """Lets tasks of a finished run, and what follows them, run again."""
        switches = {"dry_run": False, "only_failed": False, "reset_dag_runs": True, "include_downstream": True}
        body = {"dag_run_id": run_id, "task_ids": task_ids, **switches}
        self._http.read_object(self._http.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body))

    def patch_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Sets the state of a run: `failed` stops it."""
        self._http.read_object(self._http.call("PATCH", run_path(dag_id, run_id), json={"state": state}))


@dataclass(frozen=True)
class RunningStack:
    """A stack that is up, and the ways to use it."""

    settings: Settings
    info: StackInfo

    @property
    def home(self) -> Path:
        return self.settings.home

    @cached_property
    def airflow(self) -> AirflowOfTests:
        login = self.info.logins()["airflow"]
        return AirflowOfTests(login["url"], login["username"], login["password"], timeout_s=60)

    @cached_property
    def mlflow(self) -> Any:
        from ml.tracking import runs as tracking

        # MLflow asks the process's own address for some files, whatever the client was given.
        return tracking.client(self.info.urls["mlflow"])

    def url(self, path: str) -> str:
        return self.info.urls["serving"] + path

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url(path), timeout=60, **options)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/status").json()
        return found

    def cli(self, *arguments: str, timeout_s: float = 500, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs the command line as a user would."""
        return subprocess.run(
            [str(Path(sys.executable).parent / "trackyard"), *arguments],
            env=clean_environ(self.home, **settings),
            cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip

    def cli_json(self, *arguments: str) -> Any:
        done = self.cli(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def trigger(self, run_id: str, **params: Any) -> str:
        self.airflow.trigger(PIPELINE, params, run_id)
        return run_id

    def finished(self, run_id: str, dag_id: str = PIPELINE, timeout_s: float = 400) -> str:
        """Waits for the end of a run, teardown included, and returns its state."""

        def look() -> str | None:
            run = self.airflow.dag_run(dag_id, run_id)
            # A mapped task with nothing to map is skipped without having begun or ended.
            tasks = self.airflow.task_instances(dag_id, run_id)
            ended = all(task["end_date"] or task["state"] == "skipped" for task in tasks)
            return str(run["state"]) if run["state"] in ("success", "failed") and ended else None

        # Asked ten times a second, Airflow's server would be busier with the answers than with the run.
        state = wait_for(look, f"run {run_id} to end", timeout_s, pause_s=0.7)
        assert state
        return state

    def run(self, run_id: str, **params: Any) -> str:
        return self.finished(self.trigger(run_id, **params))

    def tasks(self, run_id: str, dag_id: str = PIPELINE) -> dict[str, dict[str, Any]]:
        return {task["task_id"]: task for task in self.airflow.task_instances(dag_id, run_id)}

    def mlflow_run(self, run_id: str) -> Any:
        """The one MLflow run of a DAG run."""
        experiments = [found.experiment_id for found in self.mlflow.search_experiments()]
        runs = self.mlflow.search_runs(experiments, f"tags.`airflow.run_id` = '{run_id}'")
        assert len(runs) == 1, f"{run_id} has {len(runs)} MLflow runs"
        return runs[0]

    def versions(self, run_id: str | None = None, name: str = "ad-click") -> list[Any]:
        found = self.mlflow.search_model_versions(f"name = '{name}'")
        kept = [version for version in found if run_id is None or version.tags.get("airflow.run_id") == run_id]
        return sorted(kept, key=lambda version: int(version.version))

    def champion(self, name: str = "ad-click") -> str | None:
        version = self.mlflow.get_registered_model(name).aliases.get("champion")
        return None if version is None else str(version)

    def mails(self) -> list[Any]:
        """The mails that were sent, parsed, in no particular order."""
        import mailbox

        return list(mailbox.Maildir(self.info.mail_dir))

    def mail_about(self, run_id: str) -> tuple[str, str]:
        """Subject and body of the mail about a run, waiting for it."""

        def look() -> tuple[str, str] | None:
            for mail in self.mails():
                body = "".join(
                    (part.get_payload(decode=True) or b"").decode()
                    for part in mail.walk()
                    if part.get_content_maintype() == "text"
                )
                if run_id in body:
                    return str(mail["Subject"]), body
            return None

        found = wait_for(look, f"the mail about {run_id}")
        assert found
        return found

    def healthy(self, timeout_s: float = 240) -> None:
        """Waits until every part does its job."""

        def look() -> bool:
            return all(part.state == "ready" for part in status(self.info))

        wait_for(look, "every part to be ready", timeout_s)

    def served(self) -> str:
        """The champion, once the service answers with it and fetches no other that an earlier move asked for."""

        def look() -> str | None:
            model = self.status()["model"]
            champion = self.champion()
            return champion if model["version"] == model["champion"] == champion else None

        return str(wait_for(look, "the champion to be served"))

    def pid(self, part: str) -> int:
        """The process id of a part, which must be running."""
        found = next(one for one in status(self.info) if one.name == part)
        assert found.pid, f"{part} does not run"
        return found.pid


STORES = ("postgres", "redis", "s3", "smtp")
"""The parts that are up in a second or two and answer without Airflow and MLflow."""


@contextmanager
def stores_in(home: Path) -> Iterator[StackInfo]:
    """A stack of which nothing but the stores is up, in a folder and on ports of its own."""
    settings = Settings.from_env(clean_environ(home, **port_settings()))
    try:
        yield control.up(settings, Silent(), STORES)
    finally:
        control.down(settings, Silent())


@contextmanager
def mlflow_in_sqlite() -> Iterator[MlflowClient]:
    """A real MLflow store in SQLite, without a server; the experiment `model` keeps its files in a folder."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        found = mlflow.MlflowClient()
        found.create_experiment("model", artifact_location=Path(folder, "artefacts").as_uri())
        yield found
        mlflow.set_tracking_uri(before)
