"""The database job of `docker compose up`: roles and databases, migrations, accounts. Effects: PostgreSQL alone.

`infra.deploy.container` runs it once before the servers start; running it again changes nothing but passwords that
changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from infra.servers import airflow_server, postgres, tracking_server
from ml.errors import Misconfigured, PipelineError, one_line

PIPELINE = "pipeline"
"""MLflow's account of the workers: it may do anything to experiments and models, nothing to accounts or webhooks."""
SERVICE_WEBHOOK = "http://serving:5555/webhooks/mlflow"
"""Where the service takes MLflow's webhook, by its name among the containers."""


@dataclass(frozen=True, repr=False)
class Job:
    """What the job is given; its repr shows no password.

    Attributes:
        admin_url: The server's `postgresql://` address as its superuser; empty where somebody else made the databases.
        roles: The password of each role.
        airflow_url: The address of Airflow's database, as its owner, for SQLAlchemy.
        mlflow_url: The address of MLflow's database, as its owner.
        mlflow_auth_url: The address of the database of MLflow's accounts, as its owner.
        airflow_accounts: The password of each Airflow account.
        mlflow_accounts: The password of each MLflow account.
        webhook_secret: What MLflow signs its webhooks to the service with; empty for no webhook.
    """

    admin_url: str
    roles: Mapping[str, str]
    airflow_url: str
    mlflow_url: str
    mlflow_auth_url: str
    airflow_accounts: Mapping[str, str]
    mlflow_accounts: Mapping[str, str]
    webhook_secret: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Job:
        """Reads the variables.

        Raises:
            Misconfigured: One is missing; all missing ones are named.
        """
        roles = {role: f"{role.upper()}_DB_PASSWORD" for role in ("airflow", "mlflow", "celery")}
        urls = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_AUTH_DATABASE_URI")
        airflow = {name: f"AIRFLOW_{name.upper()}_PASSWORD" for name in (airflow_server.ADMIN, airflow_server.STATUS)}
        mlflow = {
            name: f"MLFLOW_{name.upper()}_PASSWORD"
            for name in (tracking_server.ADMIN, tracking_server.STATUS, PIPELINE)
        }
        admin_url = environ.get("POSTGRES_ADMIN_URL", "")
        needed = [*urls, *airflow.values(), *mlflow.values(), *(roles.values() if admin_url else ())]
        missing = [name for name in needed if not environ.get(name)]
        if missing:
            raise Misconfigured(f"{', '.join(missing)} is not set: docker-compose.yaml sets it from .env ('make env')")
        airflow_url, mlflow_url, mlflow_auth_url = (environ[name] for name in urls)
        return cls(
            admin_url,
            {role: environ[name] for role, name in roles.items()} if admin_url else {},
            airflow_url,
            mlflow_url,
            mlflow_auth_url,
            {account: environ[name] for account, name in airflow.items()},
            {account: environ[name] for account, name in mlflow.items()},
            environ.get("TRACKYARD_WEBHOOK_SECRET", ""),
        )

    def __repr__(self) -> str:
        """Names the class alone."""
        return "Job(**********)"


def run(job: Job) -> None:
    """Does the whole job, in the order in which the parts need it.

    Raises:
        Misconfigured: PostgreSQL refuses an address or an account.
    """
    _say("PostgreSQL: roles and databases")
    _create_databases(job)
    _say("Airflow: migrations and accounts")
    _airflow(job)
    _say("MLflow: migrations and accounts")
    _mlflow(job)
    _say("done")


def _create_databases(job: Job) -> None:
    import psycopg2

    try:
        if job.admin_url:
            postgres.create_databases_at(job.admin_url, job.roles)
        for url in (job.airflow_url, job.mlflow_url, job.mlflow_auth_url):
            psycopg2.connect(url.replace("+psycopg2", ""), connect_timeout=10).close()
    except psycopg2.Error as error:
        reason = one_line(error, limit=None)
        raise Misconfigured(
            f"PostgreSQL refused: {reason}. The passwords in .env must be those that its volume was made with"
        ) from error


def _airflow(job: Job) -> None:
    from airflow.utils.db import initdb

    initdb()
    airflow_server.create_accounts(job.airflow_accounts)


def _mlflow(job: Job) -> None:
    from mlflow.db import commands
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    # The library's own command, in this process: an address on a command line would show its password.
    commands.commands["upgrade"].callback(job.mlflow_url)
    store = SqlAlchemyStore()
    store.init_db(job.mlflow_auth_url)
    for name, password in job.mlflow_accounts.items():
        is_admin = name == tracking_server.ADMIN
        if store.has_user(name):
            store.update_user(name, password=password, is_admin=is_admin)
        else:
            store.create_user(name, password, is_admin=is_admin)
    _webhook(job)
    for kind in ("experiment", "registered_model"):
        # Also what an administrator made by hand, or what came out of a backup, is the workers' to go on with: a retry
        # removes what its broken try left, and MLflow lets nobody delete below MANAGE.
        store.grant_user_permission(PIPELINE, kind, "*", "MANAGE")


def _webhook(job: Job) -> None:
    """Lets MLflow tell the service when an alias moves; the service asks by itself as well."""
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    if not job.webhook_secret:
        return
    store = SqlAlchemyStore(job.mlflow_url)
    events = [
        WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, action)
        for action in (WebhookAction.CREATED, WebhookAction.DELETED)
    ]
    told = {"url": SERVICE_WEBHOOK, "events": events, "secret": job.webhook_secret, "status": WebhookStatus.ACTIVE}
    known = [webhook.webhook_id for webhook in store.list_webhooks() if webhook.name == tracking_server.WEBHOOK]
    if known:
        store.update_webhook(known[0], **told)
    else:
        store.create_webhook(tracking_server.WEBHOOK, **told)


def _say(text: str) -> None:
    sys.stdout.write(f"trackyard: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        run(Job.from_env(os.environ))
    except PipelineError as error:
        sys.exit(f"trackyard: {error}")
