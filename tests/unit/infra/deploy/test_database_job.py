from __future__ import annotations

import pytest

from infra.deploy import container, database_job
from ml.errors import Misconfigured

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
