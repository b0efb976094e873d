"""The parts of the stack: what each is called, what it waits for, and the command and variables that start it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from tempfile import gettempdir

from infra.credentials import Credentials
from infra.servers import airflow_server, object_store, postgres, redis_server, tracking_server
from infra.settings import HOST, Settings

PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE",
)  # fmt: skip
"""The only variables of the user's that reach a part: an AIRFLOW__ or PYTHONPATH of theirs is meant for another."""


SERVING_TOKEN = "TRACKYARD_SERVING_TOKEN"  # noqa: S105 - the name of the variable


@cache
def git_commit(root: Path) -> str:
    """The commit of the code, marked `-dirty` where files differ from it; empty where it is not known.

    A wheel brings it in a file: an environment may lie in somebody else's repository, which git would tell of.
    """
    brought = root / "REVISION"
    if brought.exists():
        return brought.read_text(encoding="utf-8").strip()
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


@dataclass(frozen=True)
class Launch:
    """How one part is started: its command line, its variables, and the folder it runs in."""

    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None


@dataclass(frozen=True)
class Plan:
    """Everything that the parts are built from, once settings, ports and secrets are known."""

    settings: Settings
    ports: Mapping[str, int]
    credentials: Credentials

    @property
    def home(self) -> Path:
        """The folder with all state."""
        return self.settings.home

    @cached_property
    def runtime_dir(self) -> Path:
        """Where sockets live: a short path, since the system allows a socket's path about a hundred characters."""
        import hashlib

        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path(gettempdir()) / f"trackyard-{digest}"

    def url(self, name: str) -> str:
        """The address of a part that speaks HTTP, by the name of its port."""
        return f"http://{HOST}:{self.ports[name]}"

    def python(self, module: str, *arguments: str) -> list[str]:
        """The command line of a Python module in our own environment."""
        return [sys.executable, "-m", module, *arguments]

    def script(self, name: str, *arguments: str) -> list[str]:
        """The command line of a program that a package installed beside our Python."""
        return [str(Path(sys.executable).parent / name), *arguments]

    def task_env(self) -> dict[str, str]:
        """What the tasks, the service and the command line get to reach MLflow and S3."""
        env = {
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "MLFLOW_TRACKING_USERNAME": tracking_server.ADMIN,
            "MLFLOW_TRACKING_PASSWORD": self.credentials.mlflow_admin_password,
            **tracking_server.client_env(),
            "TRACKYARD_S3_ENDPOINT": self.url("s3"),
            "TRACKYARD_S3_BUCKET": object_store.DATA_BUCKET,
            "TRACKYARD_DATA_BUCKETS": object_store.DATA_BUCKET,
            "TRACKYARD_DATA_HOSTS": self.settings.data_hosts,
            "AWS_ACCESS_KEY_ID": self.credentials.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": self.credentials.s3_secret_key,
            "AWS_DEFAULT_REGION": object_store.REGION,
            "TRACKYARD_AIRFLOW_URL": self.url("airflow"),
            "TRACKYARD_MLFLOW_URL": self.url("mlflow"),
            "TRACKYARD_SERVING_URL": self.url("serving"),
            "TRACKYARD_FLOWER_URL": self.url("flower"),
            "TRACKYARD_PIPELINE_FILE": str(self.settings.pipeline_file),
            SERVING_TOKEN: self.credentials.serving_token,
        }
        commit = git_commit(self.settings.root)
        return env | ({"TRACKYARD_GIT_COMMIT": commit} if commit else {})

    def airflow_env(self, *, server: bool) -> dict[str, str]:
        """What an Airflow part gets; only a server part knows the database and signs tokens."""
        env = airflow_server.common_env(self.settings, self.ports, self.credentials)
        # The DAG files show links and defaults, so the parts that parse them need these as well.
        shown = {name: value for name, value in self.task_env().items() if name.startswith("TRACKYARD_")}
        del shown[SERVING_TOKEN]
        return env | shown | (airflow_server.server_env(self.ports, self.credentials) if server else {})


@dataclass(frozen=True)
class Part:
    """One process of the stack.

    Attributes:
        name: What it is called on the command line and in the logs.
        launch: Builds its command from the plan.
        after: The parts that must be ready before it is started.
        url: The name of the port that people open in a browser, if there is one.
        stop_s: How long it may take to end before it is killed.
        stop_signal: The signal that asks it to end.
        is_server: Whether other parts keep their state in it, so that it is stopped after them.
    """

    name: str
    launch: Callable[[Plan], Launch]
    after: tuple[str, ...] = ()
    url: str | None = None
    stop_s: int = 10
    stop_signal: str = "TERM"
    is_server: bool = False


def _postgres(plan: Plan) -> Launch:
    return Launch(postgres.command(plan.home / "postgres", plan.ports["postgres"]), cwd=plan.home / "postgres")


def _redis(plan: Plan) -> Launch:
    return Launch(redis_server.command(plan.home / "redis"))


def _s3(plan: Plan) -> Launch:
    keys = {
        "AWS_ACCESS_KEY_ID": plan.credentials.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": plan.credentials.s3_secret_key,
    }
    folder = plan.home / "s3"
    return Launch(object_store.command(folder, plan.ports, plan.runtime_dir), keys, folder / "config")


def _smtp(plan: Plan) -> Launch:
    address = f"{HOST}:{plan.ports['smtp']}"
    handler = ("-c", "aiosmtpd.handlers.Mailbox", str(plan.settings.mail_dir))
    return Launch(plan.python("aiosmtpd", "--nosetuid", "--listen", address, *handler))


def _mlflow(plan: Plan) -> Launch:
    command = plan.script("mlflow", *tracking_server.arguments(plan.ports["mlflow"]))
    env = tracking_server.env(plan.home / "mlflow", plan.ports, plan.credentials)
    return Launch(command, env, plan.home / "mlflow")


def _airflow(*arguments: str) -> Callable[[Plan], Launch]:
    return lambda plan: Launch(plan.script("airflow", *arguments), plan.airflow_env(server=True))


def _triggerer(plan: Plan) -> Launch:
    # The trigger of the live rollout reads one tag from MLflow and asks the service; it writes nothing.
    reading = {
        "MLFLOW_TRACKING_URI": plan.url("mlflow"),
        "MLFLOW_TRACKING_USERNAME": tracking_server.STATUS,
        "MLFLOW_TRACKING_PASSWORD": plan.credentials.mlflow_status_password,
        SERVING_TOKEN: plan.credentials.serving_token,
    }
    env = plan.airflow_env(server=True) | reading
    return Launch(plan.script("airflow", "triggerer", "--skip-serve-logs"), env)


def _worker(plan: Plan) -> Launch:
    env = plan.airflow_env(server=False) | plan.task_env()
    env |= {
        "TRACKYARD_PRELOAD": "1",
        # Several tasks share two cores; a thread pool for each of them only makes them wait for one another.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TRACKYARD_SERVING_START": shlex.join(plan.python("infra.stack.launch", "start", "serving")),
        "TRACKYARD_HOME": str(plan.home),
    }
    arguments = ("celery", "worker", "--skip-serve-logs", "--without-mingle", "--without-gossip")
    return Launch(plan.script("airflow", *arguments), env)


def _flower(plan: Plan) -> Launch:
    config = Path(__file__).parents[1] / "servers" / "flower_config.py"
    env = plan.airflow_env(server=False) | {"FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{plan.credentials.flower_password}"}
    address = ("--hostname", HOST, "--port", str(plan.ports["flower"]))
    return Launch(plan.script("airflow", "celery", "flower", *address, "--flower-conf", str(config)), env)


def _serving(plan: Plan) -> Launch:
    env = plan.task_env() | {
        "MLFLOW_TRACKING_USERNAME": tracking_server.STATUS,
        "MLFLOW_TRACKING_PASSWORD": plan.credentials.mlflow_status_password,
        # The service has its own answer to a server that is away: the last state that it knows.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
        "TRACKYARD_AIRFLOW_USERNAME": airflow_server.STATUS,
        "TRACKYARD_AIRFLOW_PASSWORD": plan.credentials.airflow_status_password,
        "TRACKYARD_SERVING_STATE": str(plan.home / "serving"),
        "TRACKYARD_WEBHOOK_SECRET": plan.credentials.webhook_secret,
    }
    env |= {name: value for name, value in plan.settings.serving.items() if value}
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del env[key]
    return Launch([sys.executable, *serving_arguments(HOST, plan.ports["serving"])], env)


def serving_arguments(host: str, port: int) -> list[str]:
    """Python's arguments for the service, wherever it runs."""
    return ["-m", "serving", "--host", host, "--port", str(port)]


FLOWER_USER = "admin"

PARTS: tuple[Part, ...] = (
    # INT is PostgreSQL's fast shutdown; TERM would wait for the last client to leave.
    Part("postgres", _postgres, stop_s=20, stop_signal="INT", is_server=True),
    Part("redis", _redis, is_server=True),
    Part("s3", _s3, url="s3", stop_s=20, is_server=True),
    Part("smtp", _smtp, is_server=True),
    Part("mlflow", _mlflow, after=("postgres", "s3"), url="mlflow"),
    Part("airflow-api-server", _airflow("api-server"), after=("postgres",), url="airflow"),
    Part("airflow-scheduler", _airflow("scheduler"), after=("postgres", "redis")),
    Part("airflow-dag-processor", _airflow("dag-processor"), after=("postgres",)),
    Part("airflow-triggerer", _triggerer, after=("postgres",)),
    Part("celery-worker", _worker, after=("postgres", "redis"), stop_s=30),
    Part("flower", _flower, after=("redis", "postgres"), url="flower"),
    # It finishes the requests that it has, for which uvicorn gives it 20 s.
    Part("serving", _serving, after=("mlflow",), url="serving", stop_s=25),
)
"""Every part, in the order in which people read them."""

PART_NAMES: tuple[str, ...] = tuple(part.name for part in PARTS)
