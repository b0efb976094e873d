"""A model that is not linear, as the service keeps it."""

from __future__ import annotations

import mlflow.sklearn
import pandas as pd
import pytest

from ml.config.schema import PipelineConfig
from ml.data.generated import generate
from ml.registry import loading, model_logging
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline
from serving.models import prepared
from tests.fakes import Stored


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A checked forest."""
    folder = tmp_path_factory.mktemp("forest") / "model"
    config = PipelineConfig.model_validate(
        {
            "model": {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 5}},
            "data": {"features": ["Age", "Area Income", "Colour"], "drop": []},
        }
    )
    frame = generate(200, 1).assign(Colour=pd.Series(["red", "blue", None, "grün"] * 50, dtype=object))
    roles = preprocess.decide_roles(frame, config)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
    pipeline = build_pipeline(config, roles).fit(features, target)
    mlflow.sklearn.save_model(path=str(folder), **model_logging.saving_options(pipeline, features.head()))
    tags = {loading.SHA256_TAG: loading.sha256_of(folder)}
    loaded = loading.load_folder(folder, name="forest", version="3", run_id="r", tags=tags)
    prepared.write(folder, loaded)
    return Stored(folder, loaded)
