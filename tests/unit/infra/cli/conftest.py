"""One call of the command line against a stack that is set up in a temporary folder, with doors that a test can see."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from infra.cli.app import app
from infra.cli.session import Session
from infra.credentials import Credentials
from infra.settings import DEFAULT_PORTS, INTERNAL_PORTS, Settings
from infra.stack.info import PartStatus, StackInfo
from infra.stack.parts import PART_NAMES
from infra.stack.preparation import StackError
from infra.stack.startup import Report
from ml.errors import AirflowDown, BadInput, StoreDown
from tests.fakes import Clock, MemoryStore

if TYPE_CHECKING:
    from infra.cli.clients import AnyStack


RUN_ID = "cli__2026-01-31T09-30-15.000Z__"
NO_FILE = Path("/nonexistent/.env")
LOGINS = {"AIRFLOW_ADMIN_PASSWORD": "a-password", "MLFLOW_ADMIN_PASSWORD": "m-password"}


@dataclass
class RecordedStack:
    """A stack whose state a test sets, and that remembers what was asked of it."""

    running: bool = True
    done: list[str] = field(default_factory=list)
    statuses: list[PartStatus] = field(
        default_factory=lambda: [
            PartStatus(
                name, "ready", "fine", "http://127.0.0.1:8080" if name == "airflow-api-server" else None, 7, 2**20
            )
            for name in PART_NAMES
        ]
    )
    failure: StackError | None = None

    def up(self, settings: Settings, report: Report) -> StackInfo:
        report.part("postgres", "waiting")
        report.part("postgres", "starting")
        if self.failure:
            report.part("postgres", "failed", str(self.failure))
            raise self.failure
        report.part("postgres", "ready")
        self.done.append("up")
        return StackInfo.load(settings)

    def down(self, settings: Settings, report: Report) -> None:
        self.done.append("down")

    def wipe(self, settings: Settings) -> None:
        self.done.append("wipe")

    def is_running(self, info: StackInfo) -> bool:
        return self.running

    def status(self, info: StackInfo) -> list[PartStatus]:
        return self.statuses


def task(task_id: str, state: str | None, seconds: float | None = 0.5, try_number: int = 1) -> dict[str, Any]:
    """A task instance as Airflow answers it."""
    begin = "2026-01-31T09:30:16Z" if state else None
    return {"task_id": task_id, "state": state, "duration": seconds, "try_number": try_number, "start_date": begin}


@dataclass
class RecordedAirflow:
    """An Airflow whose runs go through the looks that a test lists; the last look stays."""

    looks: list[tuple[str, list[dict[str, Any]]]] = field(
        default_factory=lambda: [("success", [task("load_data_task", "success")])]
    )
    listed: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    paused: bool = False
    away: int = 0
    triggered: list[dict[str, Any]] = field(default_factory=list)
    interrupt: bool = False

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise AirflowDown("Airflow at http://127.0.0.1:8080 does not answer")

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any], run_id: str | None = None, note: str | None = None
    ) -> dict[str, Any]:
        self.triggered.append({"dag_id": dag_id, "conf": dict(conf), "run_id": run_id, "note": note})
        return {"dag_run_id": run_id}

    def dag(self, dag_id: str) -> dict[str, Any]:
        return {"dag_id": dag_id, "is_paused": self.paused}

    def unpause(self, dag_id: str) -> None:
        self.paused = False

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        self._answer()
        if self.interrupt:
            raise KeyboardInterrupt
        if not self.triggered:
            raise BadInput(f"there is no run {run_id}")
        return run(run_id, self.looks[0][0])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return look[1]

    def dag_runs(
        self, dag_id: str, limit: int = 20, order_by: str = "-run_after", state: str | None = None
    ) -> list[dict[str, Any]]:
        return self.listed[:limit]

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[str]:
        return self.log


def run(run_id: str, state: str) -> dict[str, Any]:
    """A DAG run as Airflow answers it: it took 8.5 seconds once it has ended."""
    end = "2026-01-31T09:30:23.500Z" if state in ("success", "failed") else None
    return {
        "dag_run_id": run_id,
        "state": state,
        "queued_at": "2026-01-31T09:30:15Z",
        "start_date": None,
        "end_date": end,
    }


class RecordedStore(MemoryStore):
    """A store that remembers what was put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.put: list[Path] = []

    def put_file(self, path: Path, progress: object = None) -> str:
        self.put.append(path)
        return f"s3://trackyard/datasets/0af3/{path.name}"

    def locate(self, uri: str) -> tuple[str, str]:
        if not uri.startswith("s3://trackyard/"):
            raise BadInput(f"{uri!r} is not in an allowed bucket")
        return "trackyard", uri.removeprefix("s3://trackyard/")


@dataclass
class CommandLine:
    """The command line, its doors, and a way to call it."""

    home: Path
    environ: dict[str, str]
    clock: Clock = field(default_factory=Clock)
    stack: RecordedStack = field(default_factory=RecordedStack)
    airflow: RecordedAirflow = field(default_factory=RecordedAirflow)
    store: RecordedStore = field(default_factory=RecordedStore)
    tracker: Any = None
    service: dict[str, Any] = field(default_factory=dict)
    interactive: bool = False
    champion: Any = None
    refused: Exception | None = None
    today: datetime = datetime(2026, 1, 31, 9, 30, 15, tzinfo=UTC)
    task = staticmethod(task)
    dag_run = staticmethod(run)

    def _load(self, tracker: Any, name: str, version: str, workdir: Path) -> Any:
        if self.refused:
            raise self.refused
        return self.champion

    def _store(self, info: AnyStack) -> RecordedStore:
        if not info.client_environ().get("TRACKYARD_S3_BUCKET"):
            raise StoreDown("the bucket is not reachable from here")
        return self.store

    def __call__(self, *arguments: str, typed: str | None = None) -> Result:
        session = Session(
            environ=self.environ,
            control=lambda: self.stack,
            airflow=lambda info: self.airflow,
            tracker=lambda info: self.tracker,
            store=self._store,  # type: ignore[arg-type]
            load=self._load,
            fetch=lambda url, token: self.service,
            server_date=lambda url: "Sat, 31 Jan 2026 09:30:15 GMT",
            clock=self.clock,
            sleep=self.clock.sleep,
            now=lambda: self.today,
            interactive=lambda: self.interactive,
        )
        return CliRunner().invoke(app, list(arguments), input=typed, obj=session)


@pytest.fixture
def bare(tmp_path: Path) -> CommandLine:
    """The command line where nothing was set up yet."""
    pipeline = tmp_path / "stack-pipeline.yaml"
    pipeline.write_text("split: {test_size: 0.25}\n")
    home = tmp_path / "home"
    return CommandLine(home, {"TRACKYARD_HOME": str(home), "TRACKYARD_PIPELINE_FILE": str(pipeline)})


@pytest.fixture
def cli(bare: CommandLine) -> CommandLine:
    """The command line of a stack that runs."""
    bare.home.mkdir()
    Credentials.load_or_create(bare.home / "secrets.json")
    (bare.home / "ports.json").write_text(json.dumps({**DEFAULT_PORTS, **dict.fromkeys(INTERNAL_PORTS, 1)}))
    (bare.home / "logs").mkdir()
    return bare


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an MLflow database without runs; it takes seconds to make, so tests copy it."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def registry(cli: CommandLine, empty_registry: Path, tmp_path: Path) -> Iterator[CommandLine]:
    """The command line of a stack that runs, with a real MLflow store behind its tracker."""
    from mlflow import MlflowClient

    path = tmp_path / "mlflow.db"
    shutil.copy(empty_registry, path)
    cli.tracker = MlflowClient(f"sqlite:///{path}")
    yield cli
    cli.tracker = None


@pytest.fixture
def versions(registry) -> Callable[[int], None]:
    """Registers so many versions of ad-click, each from a run of its own."""

    def register(count: int) -> None:
        tracker = registry.tracker
        tracker.create_registered_model("ad-click")
        for number in range(1, count + 1):
            tags = {"airflow.dag_id": "Airflow_Lab2", "airflow.run_id": f"r{number}"}
            run = tracker.create_run("0", tags=tags)
            tracker.log_metric(run.info.run_id, "test_f1", number / 10)
            judged = {**tags, "validation": "passed", "data.digest": f"d{number % 2}", "run_key": f"k{number}"}
            tracker.create_model_version("ad-click", "file:///x", run.info.run_id, tags=judged)
        registry.airflow.listed = [registry.dag_run(f"r{number}", "success") for number in range(count, 0, -1)]

    return register


class Place:
    """Runs, versions and objects of a stack, the objects as old as a test says."""

    def __init__(self, call: Any) -> None:
        self.call, self.tracker, self.store = call, call.tracker, call.store
        call.airflow.listed = []
        call.airflow.dag_run = self._dag_run
        call.airflow.task_instances = lambda dag_id, run_id: []
        self.states: dict[str, str] = {}

    def _dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        from ml.errors import BadInput

        if run_id not in self.states:
            raise BadInput(f"there is no run {run_id}")
        return {"dag_run_id": run_id, "state": self.states[run_id]}

    def run(self, name: str, status: str = "FINISHED", days: float = 60, **tags: str) -> str:
        began = int((self.call.today - timedelta(days=days)).timestamp() * 1000)
        known = {"run_key": name, "airflow.run_id": name, "airflow.dag_id": "Airflow_Lab2", **tags}
        made = self.tracker.create_run("0", began, {key: value for key, value in known.items() if value})
        if status != "RUNNING":
            self.tracker.set_terminated(made.info.run_id, status)
        for part in ("config.json", "raw.parquet", "X_test.parquet"):
            self.put(f"runs/{name}/{part}")
        return str(made.info.run_id)

    def put(self, key: str, days: float = 60) -> None:
        self.store.write_bytes(b"x" * 10, key)
        self.store.changed[key] = self.call.today - timedelta(days=days)

    def gc(self, *options: str) -> dict[str, Any]:
        result = self.call("gc", "--json", *options)
        assert result.exit_code == 0, result.stderr
        found: dict[str, Any] = json.loads(result.stdout)
        return found


@pytest.fixture
def place(registry: Any) -> Place:
    return Place(registry)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow's own store warns about its use of SQLAlchemy, which is not ours to change."""
    for item in items:
        if "registry" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))
