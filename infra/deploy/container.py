"""Becomes one part in a container of our image: `python -m infra.deploy.container ROLE [ARGUMENT ...]`.

The compose file gives each container its addresses and secrets; what is the same wherever a part runs is added here,
from the functions that the embedded stack uses as well, so that the two cannot drift apart. Effects: replaces this
process. The image's entry point calls it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.deploy import database_job
from infra.servers import airflow_server, object_store, tracking_server
from infra.stack import parts
from infra.stack.plan import git_commit
from ml.errors import Misconfigured, PipelineError

ANY = "0.0.0.0"  # noqa: S104 - inside a container, whose ports the compose file publishes or does not
PORTS = {"airflow": 8080, "mlflow": 5000, "serving": 5555, "flower": 5556, "scheduler-health": 8974}
"""The ports inside the containers."""


@dataclass(frozen=True)
class Role:
    """What a container does.

    Attributes:
        command: Its command line; the container's further arguments follow it.
        env: The variables that are the same everywhere; a variable that the container was given wins.
        needs: The variables that it must be given.
        before: What is done before the command takes over.
    """

    command: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    before: Callable[[Mapping[str, str]], None] | None = None


def _airflow(*arguments: str, needs: tuple[str, ...] = (), env: Mapping[str, str] | None = None) -> Role:
    fixed = {
        **airflow_server.fixed_env(),
        "AIRFLOW_HOME": "/tmp/airflow",  # noqa: S108 - the container's own, in memory
        "AIRFLOW__CORE__DAGS_FOLDER": "/app/dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": "/app/dags/plugins",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "/var/lib/trackyard/task-logs",
        "AIRFLOW__API__HOST": ANY,
        "AIRFLOW__API__PORT": str(PORTS["airflow"]),
    }
    return Role(["airflow", *arguments], {**fixed, **(env or {})}, needs)


DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
BROKER = "AIRFLOW__CELERY__BROKER_URL"
RESULTS = "AIRFLOW__CELERY__RESULT_BACKEND"
_SIGNING = ("AIRFLOW__API_AUTH__JWT_SECRET",)
_CLIENT = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def refuse_open_service(environ: Mapping[str, str]) -> None:
    """Refuses, by `Misconfigured`, to start where others than this machine reach a service that needs no token.

    `TRACKYARD_BIND_ADDRESSES` has the addresses that the ports are published at, by blanks; without it none is known.
    """
    if environ.get("TRACKYARD_SERVING_TOKENS") != "none":
        return
    # With it comes much of the service, which no other role needs for its start.
    from serving.web.access import is_loopback

    for address in environ.get("TRACKYARD_BIND_ADDRESSES", "").split():
        if address != "localhost" and not is_loopback(address):
            raise Misconfigured(
                f"SERVING_TOKENS is none, and {address}, where .env publishes the service, is not this machine alone: "
                "set SERVING_TOKENS=all, or BIND_ADDRESS and TLS_BIND_ADDRESS to 127.0.0.1"
            )


def _write_auth_file(environ: Mapping[str, str]) -> None:
    tracking_server.write_auth_file(Path("/tmp/mlflow-auth.ini"), environ["MLFLOW_AUTH_DATABASE_URI"])  # noqa: S108


def _flower() -> Role:
    command = [sys.executable, "-m", "celery", *parts.flower_arguments(ANY, PORTS["flower"])]
    return Role(command, {"CELERY_BROKER_URL": os.environ.get(BROKER, "")}, (BROKER, "FLOWER_BASIC_AUTH"))


def _worker() -> Role:
    env = {
        **tracking_server.client_env(),
        "AIRFLOW_CONN_SMTP_DEFAULT": airflow_server.smtp_connection(
            os.environ.get("TRACKYARD_SMTP_URL", ""), ("mail", 1025)
        ),
        "TRACKYARD_PRELOAD": "1",
        # Several tasks share a container's cores; a thread pool for each only makes them wait for one another.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    arguments = ("celery", "worker", "--skip-serve-logs", "--without-mingle", "--without-gossip")
    return _airflow(*arguments, needs=(BROKER, RESULTS, *_CLIENT, "TRACKYARD_S3_BUCKET"), env=env)


def _mlflow() -> Role:
    hosts = os.environ.get("TRACKYARD_MLFLOW_HOSTS") or f"{tracking_server.LOCAL_NAMES},mlflow,mlflow:*"
    bucket = os.environ.get("TRACKYARD_ARTIFACT_BUCKET") or object_store.ARTIFACT_BUCKET
    arguments = tracking_server.arguments(PORTS["mlflow"], ANY, bucket)
    env = {
        **tracking_server.fixed_env(),
        "MLFLOW_SERVER_ALLOWED_HOSTS": hosts,
        "MLFLOW_AUTH_CONFIG_PATH": "/tmp/mlflow-auth.ini",  # noqa: S108
    }
    needs = ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_AUTH_DATABASE_URI", "MLFLOW_AUTH_ADMIN_PASSWORD")
    return Role([sys.executable, *arguments], env, needs, _write_auth_file)


def _serving() -> Role:
    env = {
        **tracking_server.client_env(),
        # The service has its own answer to a server that is away: the last state that it knows.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
        "TRACKYARD_SERVING_STATE": "/var/lib/trackyard/serving",
    }
    command = [sys.executable, *parts.serving_arguments(ANY, PORTS["serving"])]
    return Role(command, env, (*_CLIENT, "TRACKYARD_AIRFLOW_PASSWORD", "TRACKYARD_SERVING_TOKEN"), refuse_open_service)


def _job(module: str, needs: tuple[str, ...] = (), before: Callable[[Mapping[str, str]], None] | None = None) -> Role:
    env = {**airflow_server.fixed_env(), **tracking_server.fixed_env(), "AIRFLOW_HOME": "/tmp/airflow"}  # noqa: S108
    return Role([sys.executable, "-m", module], env, needs, before)


ROLES: Mapping[str, Callable[[], Role]] = {
    "airflow-api-server": lambda: _airflow("api-server", needs=(DATABASE, *_SIGNING)),
    "airflow-scheduler": lambda: _airflow(
        "scheduler",
        needs=(DATABASE, BROKER, RESULTS, *_SIGNING),
        env={**airflow_server.SCHEDULER, "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "True"},
    ),
    # The trigger form is made where the DAG files are parsed, and it lets no bucket through that is not named there.
    "airflow-dag-processor": lambda: _airflow("dag-processor", needs=(DATABASE, "TRACKYARD_S3_BUCKET")),
    "airflow-triggerer": lambda: _airflow("triggerer", "--skip-serve-logs", needs=(DATABASE, *_CLIENT)),
    "celery-worker": _worker,
    "flower": _flower,
    "mlflow": _mlflow,
    "serving": _serving,
    "database-job": lambda: _job("infra.deploy.database_job", database_job.needed(os.environ), refuse_open_service),
    "bucket-job": lambda: _job("infra.deploy.bucket_job"),
    "trackyard": lambda: Role(
        [sys.executable, "-c", "from infra.cli import main; main()"], tracking_server.client_env()
    ),
}
"""What the image can be; `docker run IMAGE trackyard --help` is the command line."""


def environment(role: Role, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of a role's process; `Misconfigured` names all that it needs and that are missing."""
    missing = [name for name in role.needs if not environ.get(name)]
    if missing:
        raise Misconfigured(f"{', '.join(missing)} is not set: docker-compose.yaml sets it from .env ('make env')")
    # The one that the image was built from, which runs and versions are tagged with.
    commit = git_commit(Path("/app"))
    return {**({"TRACKYARD_GIT_COMMIT": commit} if commit else {}), **role.env, **environ}


def main(arguments: list[str]) -> None:
    """Becomes the role that is named; `Misconfigured` where there is no such role, or it lacks a variable."""
    name, *rest = arguments or ["help"]
    if name not in ROLES:
        raise Misconfigured(f"no role is called {name!r}: this image can be {', '.join(ROLES)}")
    role = ROLES[name]()
    environ = environment(role, os.environ)
    if role.before is not None:
        role.before(environ)
    command = [*role.command, *rest]
    os.execvpe(command[0], command, environ)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"trackyard: {error}")
