from __future__ import annotations

import pytest

from infra.servers.tracking_accounts import asks


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/2.0/mlflow/registered-models/get"),
        ("HEAD", "/"),
        ("POST", "/api/2.0/mlflow/experiments/search"),
        ("POST", "/ajax-api/2.0/mlflow/logged-models/search"),
    ],
)
def test_a_question_changes_nothing(method: str, path: str) -> None:
    assert asks(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/2.0/mlflow/experiments/create"),
        ("POST", "/api/2.0/mlflow/registered-models/create"),
        ("POST", "/graphql"),
        ("PATCH", "/api/2.0/mlflow/users/update-password"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/x/search"),
        ("DELETE", "/api/2.0/mlflow/registered-models/alias"),
    ],
)
def test_everything_else_is_writing(method: str, path: str) -> None:
    assert not asks(method, path)
