"""The parts of the stack: what each is called, needs and is started by, and how it is told that it does its job."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.servers import airflow_server, object_store, postgres, redis_server, tracking_server
from infra.settings import HOST
from infra.stack import health, preparation
from infra.stack.health import NotReady
from infra.stack.plan import FLOWER_USER, Launch, Plan


@dataclass(frozen=True)
class Part:
    """One process of the stack, and everything that the stack knows of it.

    Attributes:
        name: What it is called on the command line and in the logs.
        launch: Builds its command from the plan.
        check: Lets it do its real job once and says in a few words what was seen; any error says that it does not.
        needs: The parts that must be ready before it is started.
        files: Makes its folder and files, before anything is started.
        before: Is done once before it is started, within so many seconds; parts that name the same share it.
        set_up: Gives it what it lacks once it answers; at a start it is called before each check, so it may be again.
        url: The name of the port that people open in a browser, if there is one.
        stop_s: How long it may take to end before it is killed.
        stop_signal: The signal that asks it to end.
        is_server: Whether other parts keep their state in it, so that it is stopped after them.
        ends_its_children: Whether it tells its own children to end, after the work in hand; a signal to the whole group
            would cut that off.
    """

    name: str
    launch: Callable[[Plan], Launch]
    check: Callable[[Plan], str]
    needs: tuple[str, ...] = ()
    files: Callable[[Plan], None] | None = None
    before: Callable[[Plan, float], None] | None = None
    set_up: Callable[[Plan], None] | None = None
    url: str | None = None
    stop_s: int = 10
    stop_signal: str = "TERM"
    is_server: bool = False
    ends_its_children: bool = False

    def look(self, plan: Plan, *, at_start: bool = False) -> str:
        """Lets the part do its job once, and says in a few words what was seen; at a start it first gets what it lacks.

        Raises:
            NotReady: It did not; in any way that it can fail.
        """
        try:
            if at_start and self.set_up is not None:
                self.set_up(plan)
            return self.check(plan)
        except NotReady:
            raise
        except Exception as error:
            text = str(error).strip() or type(error).__name__
            raise NotReady(text.splitlines()[0][:200]) from error


def _folder(name: str) -> Callable[[Plan], None]:
    return lambda plan: (plan.home / name).mkdir(mode=0o700, exist_ok=True)


def _postgres(plan: Plan) -> Launch:
    return Launch(postgres.command(plan.home / "postgres", plan.ports["postgres"]), cwd=plan.home / "postgres")


def _redis(plan: Plan) -> Launch:
    return Launch(redis_server.command(plan.home / "redis"))


def _s3(plan: Plan) -> Launch:
    folder = plan.home / "s3"
    command = object_store.command(folder, plan.ports, plan.runtime_dir)
    # Go lets its heap grow to twice what is in use before it tidies up; there is little here, and it is soon done.
    env = {**object_store.key_env(plan.credentials), "GOGC": "50"}
    return Launch(command, env, folder / "config")


def _smtp(plan: Plan) -> Launch:
    address = f"{HOST}:{plan.ports['smtp']}"
    handler = ("-c", "aiosmtpd.handlers.Mailbox", str(plan.settings.mail_dir))
    return Launch(plan.python("aiosmtpd", "--nosetuid", "--listen", address, *handler))


def _mlflow(plan: Plan) -> Launch:
    command = [sys.executable, *tracking_server.arguments(plan.ports["mlflow"])]
    env = tracking_server.env(plan.home / "mlflow", plan.ports, plan.credentials)
    return Launch(command, env, plan.home / "mlflow")


def _airflow(*arguments: str, **env: str) -> Callable[[Plan], Launch]:
    return lambda plan: Launch(plan.script("airflow", *arguments), plan.airflow_env(server=True) | env)


def _triggerer(plan: Plan) -> Launch:
    # The trigger of the live rollout reads one tag from MLflow and asks the service.
    env = plan.airflow_env(server=True) | plan.reader_env()
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
    env = {
        "CELERY_BROKER_URL": redis_server.url(plan.ports["redis"], plan.credentials),
        "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{plan.credentials.flower_password}",
    }
    return Launch(plan.python("celery", *flower_arguments(HOST, plan.ports["flower"])), env)


def flower_arguments(host: str, port: int) -> list[str]:
    """Celery's arguments for Flower, wherever it runs; Airflow's own command for it adds nothing but its imports."""
    config = Path(__file__).parents[1] / "servers" / "flower_config.py"
    return ["flower", f"--address={host}", f"--port={port}", f"--conf={config}"]


def _serving(plan: Plan) -> Launch:
    env = {
        **plan.address_env(),
        **plan.reader_env(),
        **tracking_server.client_env(),
        # The service has its own answer to a server that is away: the last state that it knows.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
        "TRACKYARD_AIRFLOW_USERNAME": airflow_server.STATUS,
        "TRACKYARD_AIRFLOW_PASSWORD": plan.credentials.airflow_status_password,
        "TRACKYARD_SERVING_STATE": str(plan.home / "serving"),
        "TRACKYARD_WEBHOOK_SECRET": plan.credentials.webhook_secret,
        **plan.settings.serving,
    }
    return Launch([sys.executable, *serving_arguments(HOST, plan.ports["serving"])], env)


def serving_arguments(host: str, port: int) -> list[str]:
    """Python's arguments for the service, wherever it runs."""
    return ["-m", "serving", "--host", host, "--port", str(port)]


PARTS: tuple[Part, ...] = (
    Part(
        "postgres", _postgres, health.postgres,
        files=lambda plan: postgres.create(plan.home / "postgres", plan.credentials),
        set_up=lambda plan: postgres.create_databases(plan.ports["postgres"], plan.credentials),
        # INT is its fast shutdown; TERM would wait for the last client to leave.
        stop_s=20, stop_signal="INT", is_server=True, ends_its_children=True,
    ),
    Part(
        "redis", _redis, health.redis,
        files=lambda plan: redis_server.create(plan.home / "redis", plan.ports["redis"], plan.credentials),
        is_server=True,
    ),
    Part(
        "s3", _s3, health.s3,
        files=lambda plan: object_store.create(plan.home / "s3", plan.credentials),
        set_up=lambda plan: object_store.create_buckets(object_store.client(plan.ports["s3"], plan.credentials)),
        # It waits 15 s for listeners of its own to leave; what it has answered is in its files by then.
        url="s3", stop_s=3, is_server=True,
    ),
    Part("smtp", _smtp, health.smtp, is_server=True),
    Part(
        "mlflow", _mlflow, health.mlflow, needs=("postgres",),
        files=lambda plan: tracking_server.create(plan.home / "mlflow", plan.ports, plan.credentials),
        before=preparation.init_mlflow, url="mlflow",
        set_up=lambda plan: tracking_server.set_up(
            health.http(), plan.url("mlflow"), plan.url("serving"), plan.credentials
        ),
    ),
    Part(
        "airflow-api-server", _airflow("api-server"), health.api_server, needs=("postgres",),
        files=_folder("airflow"), before=preparation.init_airflow, url="airflow",
    ),
    Part(
        "airflow-scheduler", _airflow("scheduler", **airflow_server.SCHEDULER), health.heartbeat("scheduler"),
        needs=("postgres", "redis"), before=preparation.init_airflow,
    ),
    Part(
        "airflow-dag-processor", _airflow("dag-processor"), health.heartbeat("dag_processor"), needs=("postgres",),
        before=preparation.init_airflow,
    ),
    Part(
        "airflow-triggerer", _triggerer, health.heartbeat("triggerer"), needs=("postgres",),
        before=preparation.init_airflow,
    ),
    Part("celery-worker", _worker, health.celery, needs=("postgres", "redis"), stop_s=30, ends_its_children=True),
    Part("flower", _flower, health.flower, needs=("redis", "postgres"), url="flower"),
    Part(
        "serving", _serving, health.serving, needs=("mlflow",), files=_folder("serving"), url="serving",
        # It finishes the requests that it has, for which uvicorn gives it 20 s.
        stop_s=25, ends_its_children=True,
    ),
)  # fmt: skip
"""Every part, in the order in which people read them."""

PART_NAMES: tuple[str, ...] = tuple(part.name for part in PARTS)
