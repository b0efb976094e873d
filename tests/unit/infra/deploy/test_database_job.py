from __future__ import annotations

import pytest

from infra.deploy.database_job import Job
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


def test_without_a_superuser_the_roles_are_somebody_elses() -> None:
    job = Job.from_env(GIVEN)

    assert job.roles == {}
    assert job.mlflow_accounts == {"admin": "five", "status": "six", "pipeline": "seven"}


def test_with_a_superuser_each_role_needs_its_password() -> None:
    admin = {"POSTGRES_ADMIN_URL": "postgresql://postgres:x@db/postgres"}
    with pytest.raises(Misconfigured, match="AIRFLOW_DB_PASSWORD, MLFLOW_DB_PASSWORD, CELERY_DB_PASSWORD"):
        Job.from_env(GIVEN | admin)


@pytest.mark.parametrize("name", GIVEN)
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        Job.from_env({key: value for key, value in GIVEN.items() if key != name})


def test_its_repr_shows_no_password() -> None:
    assert "seven" not in repr(Job.from_env(GIVEN))
