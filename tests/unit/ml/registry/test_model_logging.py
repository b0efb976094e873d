"""What is registered answers in other servers, too, and says how its columns are read."""

from __future__ import annotations

from pathlib import Path

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
import yaml

from ml.config.loading import parse_config
from ml.registry import loading, model_logging
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline
from ml.values import missing_words

ROWS = 60


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    plan = rng.choice(np.array(["gold", "basic", None], dtype=object), ROWS)
    bought = np.where((plan == "gold") ^ (rng.random(ROWS) < 0.2), "yes", "no")
    # The first rows, from which a signature would be guessed, have no plan.
    plan[:10] = None
    return pd.DataFrame({"age": rng.integers(20, 70, ROWS), "plan": plan, "bought": bought})


@pytest.fixture(scope="module")
def folder(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = parse_config(
        {
            "data": {"target": "bought", "drop": []},
            "schema": {
                "age": {"type": "number", "missing": ["-1"]},
                "plan": {"type": "category", "nullable": True},
                "bought": {"type": "category"},
            },
        }
    )
    roles = preprocess.decide_roles(frame, config)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
    pipeline = build_pipeline(config, roles).fit(features, target)
    made = tmp_path_factory.mktemp("saved") / "model"
    readings = model_logging.readings_of(roles.columns, commas=True)
    mlflow.sklearn.save_model(path=str(made), **model_logging.saving_options(pipeline, features.head(), readings))
    return made


def test_a_category_whose_first_rows_are_missing_is_signed_as_text(folder: Path) -> None:
    signature = yaml.safe_load((folder / "MLmodel").read_text())["signature"]

    assert '"type": "string", "name": "plan", "required": false' in signature["inputs"]


def test_a_missing_category_has_one_answer_in_mlflows_own_server(folder: Path) -> None:
    model = mlflow.pyfunc.load_model(str(folder))

    alone = model.predict(pd.DataFrame({"age": [40.0], "plan": pd.Series([None], dtype=object)}))
    beside = model.predict(pd.DataFrame({"age": [40.0, 40.0], "plan": [None, "gold"]}))
    as_nan = model.predict(pd.DataFrame({"age": [40.0], "plan": pd.Series([np.nan], dtype=object)}))

    assert alone[0].tolist() == beside[0].tolist() == as_nan[0].tolist()
    assert alone[0].tolist() != beside[1].tolist()


def test_how_the_columns_are_read_comes_back_with_the_model(folder: Path) -> None:
    tags = {loading.SHA256_TAG: loading.sha256_of(folder)}

    loaded = loading.load_folder(folder, name="m", version="1", run_id="r", tags=tags)

    assert loaded.commas
    assert [column.type for column in loaded.readings] == ["number", "category"]
    assert loaded.columns["age"].missing == missing_words(("-1",))
    assert not all(column.is_plain for column in loaded.readings), "a plain -1 is a missing one"
