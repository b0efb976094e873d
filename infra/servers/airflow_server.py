"""How Airflow is configured: the variables that its parts get, and its database and accounts on the first start.

Each part gets only the secrets that it needs: the worker, which runs the tasks, has neither the metadata database's
password nor the key that signs tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote, urlsplit

from infra.credentials import Credentials
from infra.servers import postgres, redis_server
from infra.settings import HOST, Settings
from ml.errors import Misconfigured

ADMIN = "admin"
STATUS = "status"
STATUS_ROLE = "StatusReader"
_STATUS_PERMISSIONS = ("DAGs", "DAG Runs", "Task Instances")

_PUBLISHING = {"max_retries": None, "interval_start": 0.2, "interval_step": 0.2, "interval_max": 1}
"""A message that cannot be published is kept and tried again, rather than counted as a failed try: kombu's own retries
go on until Airflow's timeout, which is the one error that Airflow's executor retries."""

_PATIENCE = {
    "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "3",
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "5",
    "AIRFLOW__CORE__DEFAULT_TASK_EXECUTION_TIMEOUT": "600",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    # A worker that is killed takes the message of a task that it has not begun with it. After a minute the task is
    # queued anew, and that up to ten times, so that having no worker for a while fails nothing.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "10",
    # The executor waits already (`resting_executor`), and no longer than there is nothing to do.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.01",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "15",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MIN": "3",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__WORKERS__SOCKET_CLEANUP_TIMEOUT": "5",
    "AIRFLOW__CELERY__OPERATION_TIMEOUT": "3",
    "AIRFLOW__CELERY__TASK_PUBLISH_MAX_RETRIES": "60",
    "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": json.dumps({"task_publish_retry_policy": _PUBLISHING}),
}
"""The settings with which a server that is gone for half a minute costs time and nothing else.

The defaults give up a call to the API server after 4 to 15 s and a lost worker after 10 minutes."""


SCHEDULER = {"AIRFLOW__CORE__EXECUTOR": "infra.servers.resting_executor.RestingCeleryExecutor"}
"""What the scheduler alone gets; to all others its executor is the CeleryExecutor that it is based on."""


def env(settings: Settings, ports: Mapping[str, int], credentials: Credentials, *, server: bool) -> dict[str, str]:
    """What an Airflow part gets; a server part (all but worker and Flower) also the database and the signing key."""
    database, psycopg2 = ports["postgres"], "postgresql+psycopg2"
    url = f"http://{HOST}:{ports['airflow']}"
    own = {
        "AIRFLOW_HOME": str(settings.home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.root / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.root / "dags" / "plugins"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": credentials.airflow_fernet_key,
        "AIRFLOW__API__SECRET_KEY": credentials.airflow_api_secret,
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(ports["airflow"]),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.home / "airflow" / "task-logs"),
        "AIRFLOW__CELERY__BROKER_URL": redis_server.url(ports["redis"], credentials),
        "AIRFLOW__CELERY__RESULT_BACKEND": postgres.url(database, "celery_results", credentials, f"db+{psycopg2}"),
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(settings.worker_slots),
        "AIRFLOW_CONN_SMTP_DEFAULT": smtp_connection(settings.smtp_url, (HOST, ports["smtp"])),
    }
    if server:
        own["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = postgres.url(database, "airflow", credentials, psycopg2)
        own["AIRFLOW__API_AUTH__JWT_SECRET"] = credentials.airflow_jwt_secret
    return fixed_env() | own


def fixed_env() -> dict[str, str]:
    """What every Airflow part gets wherever it runs: no address and no secret is among it."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "16",
        "AIRFLOW__CORE__MP_START_METHOD": "fork",
        "AIRFLOW__API__WORKERS": "1",
        # `trackyard runs` looks through the latest 500.
        "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "500",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        # The DAG files lie in one folder, of which there are no versions to tidy away: no process need wait for some.
        "AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_INTERVAL": "0",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS": "infra.servers.celery_preload.CELERY_CONFIG",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "3600",
        **_PATIENCE,
    }


def smtp_connection(url: str, local: tuple[str, int]) -> str:
    """The Airflow connection for mail: the stack's own server, or the one that `TRACKYARD_SMTP_URL` names.

    Args:
        url: `smtp://[user:password@]host[:port][?from=address]` (STARTTLS), `smtps://...` (TLS), or empty.
        local: The host and the port of the stack's own server.

    Raises:
        Misconfigured: The address is not of that form.
    """
    parts = urlsplit(url or f"smtp://{local[0]}:{local[1]}")
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise Misconfigured(
            "TRACKYARD_SMTP_URL must look like smtp://user:password@mail.example.com:587?from=me@example.com "
            "(or smtps:// for port 465)"
        )
    implicit_tls = parts.scheme == "smtps"
    sender = parse_qs(parts.query).get("from", ["trackyard@localhost"])[0]
    extra = {
        "timeout": 5,
        "retry_limit": 1,
        "from_email": sender,
        # STARTTLS and TLS from the beginning; the stack's own server has neither.
        "disable_tls": implicit_tls or not url,
        "disable_ssl": not implicit_tls,
    }
    return json.dumps(
        {
            "conn_type": "smtp",
            "host": parts.hostname,
            "port": parts.port or (465 if implicit_tls else 587),
            "login": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "extra": extra,
        }
    )


def create_accounts(passwords: Mapping[str, str]) -> None:
    """Makes the administrator and the read-only account, or sets their passwords, by `ADMIN` and `STATUS`."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        manager.bulk_sync_roles(
            [{"role": STATUS_ROLE, "perms": [("can_read", resource) for resource in _STATUS_PERMISSIONS]}]
        )
        for name, role in ((ADMIN, "Admin"), (STATUS, STATUS_ROLE)):
            password = passwords[name]
            user = manager.find_user(username=name)
            if user:
                manager.reset_password(user.id, password)
            else:
                manager.add_user(
                    name, name, "trackyard", f"{name}@trackyard.local", manager.find_role(role), password=password
                )
