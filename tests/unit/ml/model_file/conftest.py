"""The models that the tests of a model's file make, save and open."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pandas as pd
import skops.io
from sklearn.pipeline import Pipeline

from ml.config.schema import PipelineConfig
from ml.data.generated import generate
from ml.model_file import skops_file
from ml.registry.loading import _load_skops
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline

LOGISTIC: dict[str, Any] = {"estimator": "LogisticRegression", "parameters": {}}
BOOSTING = {"estimator": "HistGradientBoostingClassifier", "parameters": {"max_iter": 3}}
FOREST = {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 3, "max_depth": 4}}


def frame_of(rows: int = 300) -> pd.DataFrame:
    """Generated rows, with a city that is missing here and rare there."""
    found = generate(rows, 1)
    found["City"] = pd.Series(["Rome", "Oslo", None] * (rows // 3) + ["Rome"] * (rows % 3), dtype=object)
    found.loc[:3, "City"] = "Bonn"
    return found


def fitted(model: dict[str, Any], features: Any = ("Age", "Male", "City"), **preprocessing: Any) -> Pipeline:
    """A Pipeline that is configured so, fitted to these rows."""
    config = PipelineConfig.model_validate(
        {"model": model, "data": {"features": list(features), "drop": []}, "preprocessing": preprocessing}
    )
    frame = frame_of()
    roles = preprocess.decide_roles(frame, config)
    return build_pipeline(config, roles).fit(preprocess.features_of(frame, roles), preprocess.target_of(frame, roles))


def opened(content: bytes) -> Any:
    """What the registry makes of a model's file."""
    return _load_skops(content, "m version 1")


def told(model: dict[str, Any]) -> Any:
    """What the file of a model holds, its classifier last."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(fitted(model)))) as archive:
        return skops_file.read(archive)
