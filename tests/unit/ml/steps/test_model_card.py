"""The model card."""

from __future__ import annotations

import pandas as pd

from ml.config.schema import PipelineConfig
from ml.inspection import profile
from ml.steps import model_card
from ml.tracking import provenance
from tests.fakes import Fitted


def test_the_card_reads_as_a_model_card_and_is_safe(fitted: Fitted, rows: pd.DataFrame) -> None:
    facts = model_card.Facts(
        config=PipelineConfig(), roles=fitted.roles,
        metrics={"test_accuracy": 0.9, "train_accuracy": 0.95, "validation_accuracy": 0.92},
        tags={
            "data.digest": "d1", "airflow.run_id": "run`1", "git.commit": "abc", "git.dirty": "true",
            "note": "<b>bold</b> [link](x)",
        },
        profile=profile.profile(rows), importance={"Age": 0.2}, rows={"train": (210, 0.5), "test": (90, 0.4)},
        links={"DAG run in Airflow": "http://a/b"}, version="3",
    )  # fmt: skip

    text = model_card.card(facts)

    for heading in ("# ad-click, version 3", "## Model", "## Metrics", "## Data", "## Origin", "## Limits"):
        assert heading in text
    assert "| accuracy | 0.9500 | 0.9200 | 0.9000 |" in text
    assert "with uncommitted changes" in text
    assert "90 rows only" in text
    assert "<b>" not in text


def test_the_origin_is_told_with_and_without_changes() -> None:
    found = provenance.tags("a" * 40 + "-dirty", "http://airflow/run")

    assert (found["git.commit"], found["git.dirty"]) == ("a" * 40, "true")
    assert len(found["env.lock_sha256"]) == 64
    assert provenance.tags("a" * 40, "x")["git.dirty"] == "false"
    assert not {"git.commit", "git.dirty"} & set(provenance.tags("", "x"))


def test_without_a_lock_file_the_installed_packages_are_told(tmp_path) -> None:
    assert provenance.lock_digest(tmp_path / "none").startswith("installed:")
