"""What the gate finds of the snapshot that a run trained on, and of the champion."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from ml.config.schema import PipelineConfig
from ml.data.generated import generate
from ml.digest import digest_of
from ml.errors import Unavailable
from ml.reading import contract
from ml.steps import evidence
from ml.steps.evidence import _broken
from tests.unit.ml.conftest import Place


def context_of(digest: str) -> Any:
    """A run that recorded a digest of its data."""
    return SimpleNamespace(
        config=PipelineConfig(), run=SimpleNamespace(data=SimpleNamespace(tags={"data.digest": digest}))
    )


def test_a_snapshot_is_checked_again_unless_it_is_the_table_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = contract.check(generate(50, 1), PipelineConfig(), "generated")
    changed = checked.assign(Age=999)

    assert "Age" in _broken(context_of(digest_of(checked)), changed)
    assert _broken(context_of("1a2b3c4d"), checked) == ""

    monkeypatch.setattr(contract, "check", None)
    assert _broken(context_of(digest_of(checked)), checked) == ""


def test_a_tracker_that_is_away_is_no_verdict(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)

    class Away:
        def get_model_version(self, *_: Any) -> Any:
            raise Unavailable("MLflow does not answer")

    context.tracker = Away()
    with pytest.raises(Unavailable):
        evidence.live(context, data, "1")
