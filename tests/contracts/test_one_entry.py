"""A metric is one entry of a table: in a copy of the tree with one more, it is wherever metrics are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

LOOK = """
import json
from ml.config.loading import parse_config
from ml.evaluation.metrics import metrics

chosen = parse_config({"promotion": {"metric": "test_positive_rate"}, "tune": {"metric": "positive_rate"}}, "here")
print(json.dumps({"measured": metrics([0, 1, 1], [0.2, 0.9, 0.4], "test"), "chosen": chosen.promotion.metric}))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The tree, with the share of rows that a model calls positive as one metric more."""
    for name in ("ml", "serving", "infra", "dags", "tools", "docs", "pipeline.yaml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    table = tmp_path / "ml" / "evaluation" / "metrics.py"
    entry = '    "positive_rate": _Metric(lambda target, probability, weights: _mean(probability, weights)),\n'
    before = table.read_text()
    table.write_text(before.replace("_METRICS = {\n", "_METRICS = {\n" + entry))
    assert table.read_text() != before
    return tmp_path


def _run(tree: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_metric_that_is_one_entry_more_is_measured_may_be_chosen_and_is_documented(tree: Path) -> None:
    looked: dict[str, Any] = json.loads(_run(tree, "-c", LOOK))
    _run(tree, "tools/reference.py")

    assert looked["measured"]["test_positive_rate"] == pytest.approx(0.5)
    assert looked["chosen"] == "test_positive_rate"
    assert "| `positive_rate` | more is better |" in (tree / "docs" / "reference" / "metrics.md").read_text()
