"""Small real things that the tests of `ml` share: generated rows, a fitted Pipeline, its saved model, the real data."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from ml.config.schema import PipelineConfig
from ml.data import generated
from ml.registry import model_logging
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline
from tests.fakes import Fitted, SavedModel

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    return generated.generate(300, 7)


@pytest.fixture(scope="session")
def fitted(rows: pd.DataFrame) -> Fitted:
    config = PipelineConfig()
    roles = preprocess.decide_roles(rows, config)
    features, target = preprocess.features_of(rows, roles), preprocess.target_of(rows, roles)
    return Fitted(config, roles, features, target, build_pipeline(config, roles).fit(features, target))


@pytest.fixture(scope="session")
def saved_once(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import mlflow.sklearn

    folder = tmp_path_factory.mktemp("saved") / "model"
    mlflow.sklearn.save_model(path=str(folder), **model_logging.saving_options(fitted.pipeline, fitted.features.head()))
    return folder


@pytest.fixture
def saved(saved_once: Path, tmp_path: Path) -> SavedModel:
    return SavedModel(Path(shutil.copytree(saved_once, tmp_path / "model")))


@pytest.fixture(scope="session")
def real_data() -> pd.DataFrame:
    place = os.environ.get("ADVERTISING_CSV")
    path = Path(place) if place else ROOT.parent / "shared" / "data" / "advertising.csv"
    if not path.is_file():
        pytest.skip("the public advertising.csv is not here: name it in ADVERTISING_CSV")
    return pd.read_csv(path)


@pytest.fixture(scope="session")
def client() -> Iterator[MlflowClient]:
    """A real MLflow store in SQLite, without a server; the experiment `model` keeps its files in a folder."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        found = mlflow.MlflowClient()
        found.create_experiment("model", artifact_location=Path(folder, "artefacts").as_uri())
        yield found
        mlflow.set_tracking_uri(before)
