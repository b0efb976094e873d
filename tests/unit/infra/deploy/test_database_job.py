from __future__ import annotations

from pathlib import Path

import pytest

from infra.backup import databases
from infra.deploy import container, database_job
from infra.servers import postgres
from infra.stack.info import StackInfo
from ml.errors import Misconfigured, Unavailable

GIVEN = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow:one@db/airflow",
    "MLFLOW_BACKEND_STORE_URI": "postgresql://mlflow:two@db/mlflow",
    "MLFLOW_AUTH_DATABASE_URI": "postgresql://mlflow:two@db/mlflow_auth",
    "AIRFLOW_ADMIN_PASSWORD": "three",
    "AIRFLOW_STATUS_PASSWORD": "four",
    "MLFLOW_ADMIN_PASSWORD": "five",
    "MLFLOW_STATUS_PASSWORD": "six",
    "MLFLOW_PIPELINE_PASSWORD": "seven",
}


def _start(environ: dict[str, str]) -> dict[str, str]:
    return container.environment(container.ROLES["database-job"](), environ)


def test_without_a_superuser_the_roles_are_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTGRES_ADMIN_URL", raising=False)

    assert _start(GIVEN).items() >= GIVEN.items()
    assert not set(database_job.ROLES.values()) & set(database_job.needed(GIVEN))


def test_each_account_gets_its_own_password() -> None:
    assert database_job.passwords(GIVEN, database_job.MLFLOW) == {"admin": "five", "status": "six", "pipeline": "seven"}
    assert database_job.passwords(GIVEN, database_job.AIRFLOW) == {"admin": "three", "status": "four"}


def test_with_a_superuser_each_role_needs_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_ADMIN_URL", "postgresql://postgres:x@db/postgres")

    with pytest.raises(Misconfigured, match="AIRFLOW_DB_PASSWORD, MLFLOW_DB_PASSWORD, CELERY_DB_PASSWORD"):
        _start(GIVEN)


@pytest.mark.parametrize("name", GIVEN)
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        _start({key: value for key, value in GIVEN.items() if key != name})


@pytest.fixture
def environ(stores: StackInfo, tmp_path: Path) -> dict[str, str]:
    """What the job gets where the stores are, with MLflow's databases in files."""
    plan = stores.plan
    secret = plan.credentials
    return {
        **GIVEN,
        "POSTGRES_ADMIN_URL": postgres.superuser_url(plan.ports["postgres"], secret),
        **{variable: getattr(secret, f"postgres_{role}_password") for role, variable in database_job.ROLES.items()},
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url(
            plan.ports["postgres"], "airflow", secret, "postgresql+psycopg2"
        ),
        "MLFLOW_BACKEND_STORE_URI": postgres.url(plan.ports["postgres"], "mlflow", secret),
        "MLFLOW_AUTH_DATABASE_URI": postgres.url(plan.ports["postgres"], "mlflow_auth", secret),
    }


def test_roles_and_databases_are_made_and_each_owner_is_let_in(environ: dict[str, str]) -> None:
    with databases.connected(environ["POSTGRES_ADMIN_URL"]) as cursor:
        cursor.execute("DROP DATABASE mlflow_auth")

    database_job._create_databases(environ)

    assert databases.owner_of(environ["POSTGRES_ADMIN_URL"], "mlflow_auth") == "mlflow"
    with (
        pytest.raises(Unavailable, match="permission denied for database"),
        databases.connected(environ["MLFLOW_BACKEND_STORE_URI"], "airflow"),
    ):
        pass


def test_a_password_that_the_server_does_not_know_is_told_with_where_it_stands(environ: dict[str, str]) -> None:
    wrong = environ["MLFLOW_BACKEND_STORE_URI"].replace(environ["MLFLOW_DB_PASSWORD"], "other")

    with pytest.raises(Misconfigured, match=r"PostgreSQL refused: .*The passwords in \.env must be those"):
        database_job._create_databases({**environ, "MLFLOW_BACKEND_STORE_URI": wrong})


# MLflow's own store and server warn about what they use, which is not ours to change.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlflows_accounts_and_its_webhook_are_made_and_set_anew(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry

    uris = {
        name: f"sqlite:///{tmp_path}/{name}.db" for name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_AUTH_DATABASE_URI")
    }
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    Registry(uris["MLFLOW_BACKEND_STORE_URI"])

    for password in ("the first word", "the second word"):
        own = dict.fromkeys(database_job.MLFLOW.values(), password)
        given = {**environ, **uris, **own, "TRACKYARD_WEBHOOK_SECRET": "s"}
        database_job._mlflow(given)

    accounts = SqlAlchemyStore()
    accounts.init_db(uris["MLFLOW_AUTH_DATABASE_URI"])
    assert {user.username: user.is_admin for user in accounts.list_users()} == {
        "admin": True, "status": False, "pipeline": False,
    }  # fmt: skip
    assert accounts.authenticate_user("status", "the second word")
    assert not accounts.authenticate_user("status", "the first word")
    [webhook] = Registry(uris["MLFLOW_BACKEND_STORE_URI"]).list_webhooks()
    assert webhook.url == database_job.SERVICE_WEBHOOK
