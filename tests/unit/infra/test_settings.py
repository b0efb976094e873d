"""Settings: read from the environment, and refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ml.errors import Misconfigured
from tests.support import settings_of


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="TRACKYARD_PORT_AIRFLOW"):
        settings_of(tmp_path, TRACKYARD_PORT_AIRFLOW="1")


@pytest.mark.parametrize("value", ["0", "65536", "eighty", "-1", "80.5"])
def test_a_port_that_is_none_is_named_with_its_setting(tmp_path: Path, value: str) -> None:
    with pytest.raises(Misconfigured, match="TRACKYARD_REDIS_PORT"):
        settings_of(tmp_path, TRACKYARD_REDIS_PORT=value)


def test_only_a_pipeline_file_that_was_not_named_may_be_missing(tmp_path: Path) -> None:
    unnamed = replace(settings_of(tmp_path), folder=tmp_path, pipeline_file=tmp_path / "pipeline.yaml")
    named = settings_of(tmp_path, TRACKYARD_PIPELINE_FILE=str(tmp_path / "pipelin.yaml"))

    assert unnamed.defaults_file is None
    assert named.defaults_file == tmp_path / "pipelin.yaml"
    (tmp_path / "pipeline.yaml").touch()
    assert unnamed.defaults_file == tmp_path / "pipeline.yaml"
