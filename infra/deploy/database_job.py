"""The database job of `docker compose up`: roles and databases, migrations, accounts. Effects: PostgreSQL alone.

`infra.deploy.container` runs it once before the servers start; running it again changes nothing but passwords that
changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from infra.servers import airflow_server, postgres, tracking_server
from ml.errors import Misconfigured, PipelineError, one_line

PIPELINE = "pipeline"
"""MLflow's account of the workers: it may do anything to experiments and models, nothing to accounts or webhooks."""
SERVICE_WEBHOOK = "http://serving:5555/webhooks/mlflow"
"""Where the service takes MLflow's webhook, by its name among the containers."""


DATABASE_URLS = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_AUTH_DATABASE_URI")
"""The variables with the addresses of the databases, as their owners."""
ROLES = {role: f"{role.upper()}_DB_PASSWORD" for role in postgres.DATABASES.values()}
AIRFLOW = {name: f"AIRFLOW_{name.upper()}_PASSWORD" for name in (airflow_server.ADMIN, airflow_server.STATUS)}
MLFLOW = {name: f"MLFLOW_{name.upper()}_PASSWORD" for name in (tracking_server.ADMIN, tracking_server.STATUS, PIPELINE)}
"""The variables with the passwords of PostgreSQL's roles, and of Airflow's and MLflow's accounts."""


def needed(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that the job needs; without `POSTGRES_ADMIN_URL` somebody else has made roles and databases."""
    roles = ROLES.values() if environ.get("POSTGRES_ADMIN_URL") else ()
    return (*DATABASE_URLS, *AIRFLOW.values(), *MLFLOW.values(), *roles)


def run(environ: Mapping[str, str]) -> None:
    """Does the whole job, in the order in which the parts need it; `Misconfigured` where PostgreSQL refuses.

    It needs what is `needed`, and `TRACKYARD_WEBHOOK_SECRET` where MLflow is to sign webhooks to the service.
    """
    _say("PostgreSQL: roles and databases")
    _create_databases(environ)
    _say("Airflow: migrations and accounts")
    _airflow(environ)
    _say("MLflow: migrations and accounts")
    _mlflow(environ)
    _say("done")


def passwords(environ: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """The password of each of `ROLES`, `AIRFLOW` or `MLFLOW`."""
    return {account: environ[variable] for account, variable in variables.items()}


def _create_databases(environ: Mapping[str, str]) -> None:
    import psycopg2

    try:
        if environ.get("POSTGRES_ADMIN_URL"):
            postgres.create_databases_at(environ["POSTGRES_ADMIN_URL"], passwords(environ, ROLES))
        for name in DATABASE_URLS:
            psycopg2.connect(environ[name].replace("+psycopg2", ""), connect_timeout=10).close()
    except psycopg2.Error as error:
        raise Misconfigured(
            f"PostgreSQL refused: {one_line(error, limit=None)}. "
            "The passwords in .env must be those that its volume was made with"
        ) from error


def _airflow(environ: Mapping[str, str]) -> None:
    from airflow.utils.db import initdb

    initdb()
    airflow_server.create_accounts(passwords(environ, AIRFLOW))


def _mlflow(environ: Mapping[str, str]) -> None:
    from mlflow.db import commands
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    # The library's own command, in this process: an address on a command line would show its password.
    commands.commands["upgrade"].callback(environ["MLFLOW_BACKEND_STORE_URI"])
    store = SqlAlchemyStore()
    store.init_db(environ["MLFLOW_AUTH_DATABASE_URI"])
    for name, password in passwords(environ, MLFLOW).items():
        is_admin = name == tracking_server.ADMIN
        if store.has_user(name):
            store.update_user(name, password=password, is_admin=is_admin)
        else:
            store.create_user(name, password, is_admin=is_admin)
    if environ.get("TRACKYARD_WEBHOOK_SECRET"):
        _webhook(environ["MLFLOW_BACKEND_STORE_URI"], environ["TRACKYARD_WEBHOOK_SECRET"])
    for kind in ("experiment", "registered_model"):
        # Also what an administrator made by hand, or what came out of a backup, is the workers' to go on with: a retry
        # removes what its broken try left, and MLflow lets nobody delete below MANAGE.
        store.grant_user_permission(PIPELINE, kind, "*", "MANAGE")


def _webhook(database_url: str, secret: str) -> None:
    """Lets MLflow tell the service when an alias moves; the service asks by itself as well."""
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(database_url)
    actions = (WebhookAction.CREATED, WebhookAction.DELETED)
    events = [WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, action) for action in actions]
    webhook = {"url": SERVICE_WEBHOOK, "events": events, "secret": secret, "status": WebhookStatus.ACTIVE}
    ids = [each.webhook_id for each in store.list_webhooks() if each.name == tracking_server.WEBHOOK]
    if ids:
        store.update_webhook(ids[0], **webhook)
    else:
        store.create_webhook(tracking_server.WEBHOOK, **webhook)


def _say(text: str) -> None:
    sys.stdout.write(f"trackyard: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        run(os.environ)
    except PipelineError as error:
        sys.exit(f"trackyard: {error}")
