"""The variables that a task reads."""

from __future__ import annotations

import pytest

from ml.errors import Misconfigured
from ml.settings import TaskSettings

NEEDED = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5000", "TRACKYARD_S3_BUCKET": "trackyard"}


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_missing_variable_is_named(name: str) -> None:
    environ = {key: value for key, value in NEEDED.items() if key != name}

    with pytest.raises(Misconfigured, match=name):
        TaskSettings.from_env(environ)


def test_what_is_not_set_has_a_default() -> None:
    settings = TaskSettings.from_env(NEEDED)

    assert settings.data_buckets == ("trackyard",)
    assert settings.mlflow_url == "http://127.0.0.1:5000"
    assert settings.pipeline_file is None
    assert settings.git_commit == ""


def test_buckets_are_a_comma_list_and_addresses_lose_their_last_slash() -> None:
    environ = {**NEEDED, "TRACKYARD_DATA_BUCKETS": " a, b ,", "TRACKYARD_AIRFLOW_URL": "http://air:1/"}

    settings = TaskSettings.from_env(environ)

    assert settings.data_buckets == ("a", "b")
    assert settings.airflow_url == "http://air:1"
