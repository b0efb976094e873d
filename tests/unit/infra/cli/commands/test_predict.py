"""`predict`, with the champion that the registry names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml.registry.loading import LoadedModel


def test_predicting_without_a_champion_says_how_to_get_one(registry, versions, tmp_path: Path) -> None:
    versions(1)
    file = tmp_path / "in.csv"
    file.write_text("a\n1\n")

    result = registry("predict", str(file))

    assert result.exit_code == 2
    assert "has no champion yet" in result.stderr
    assert registry("predict", "nowhere.csv").exit_code == 2


class _Half:
    def predict_proba(self, frame: Any) -> Any:
        import numpy as np

        return np.full((len(frame), 2), [0.25, 0.75])


def test_predictions_go_to_a_file_or_to_stdout(registry, versions, tmp_path: Path) -> None:
    versions(3)
    registry("promote", "3")
    registry.champion = LoadedModel(
        name="ad-click",
        version="3",
        run_id="r",
        model_id="m-1",
        pipeline=_Half(),
        inputs={"a": "double"},
        input_example=[],
        sha256="0af3",
    )
    file = tmp_path / "in.csv"
    file.write_text("a,b\n1,x\n")

    assert registry("predict", str(file)).stdout == "a,b,probability,prediction,model_version\n1,x,0.75,1,3\n"
    assert (
        "1 rows scored with ad-click version 3"
        in registry("predict", str(file), "-o", str(tmp_path / "out.csv")).stdout
    )
    assert (tmp_path / "out.csv").read_text().endswith("1,x,0.75,1,3\n")
