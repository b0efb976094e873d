"""What the trigger form offers follows the environment in which the DAG files are parsed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ml import steps
from ml.config.loading import form_defaults as defaults_of
from ml.config.loading import load_config


def test_the_form_defaults_come_from_the_named_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("split: {test_size: 0.25}\n")
    monkeypatch.setenv("TRACKYARD_PIPELINE_FILE", str(path))

    assert steps.form_defaults()["test_size"] == 0.25


def test_without_a_file_the_form_has_the_built_in_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACKYARD_PIPELINE_FILE", raising=False)

    assert steps.form_defaults() == defaults_of(load_config(None))


def test_the_addresses_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKYARD_S3_BUCKET", "own")
    monkeypatch.setenv("TRACKYARD_DATA_BUCKETS", "one, two")
    monkeypatch.setenv("TRACKYARD_DATA_HOSTS", "data.example.org")

    pattern = steps.address_pattern()

    for address in ("", "s3://one/a.csv", "s3://two/a.csv", "https://data.example.org/a.csv"):
        assert re.search(pattern, address)
    for address in ("s3://own/a.csv", "https://example.org/a.csv"):
        assert not re.search(pattern, address)
