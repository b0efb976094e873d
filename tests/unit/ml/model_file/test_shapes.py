"""Every model that the configuration can ask for is opened, and nothing that differs from them by a single entry."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, RobustScaler

from ml.config.schema import PipelineConfig
from ml.data.generated import generate
from ml.errors import ForbiddenType, Untrusted
from ml.model_file import shapes, skops_file
from ml.registry.loading import _load_skops
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline

LOGISTIC: dict[str, Any] = {"estimator": "LogisticRegression", "parameters": {}}
BOOSTING = {"estimator": "HistGradientBoostingClassifier", "parameters": {"max_iter": 3}}
FOREST = {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 3, "max_depth": 4}}


def frame_of(rows: int = 300) -> pd.DataFrame:
    found = generate(rows, 1)
    found["City"] = pd.Series(["Rome", "Oslo", None] * (rows // 3) + ["Rome"] * (rows % 3), dtype=object)
    found.loc[:3, "City"] = "Bonn"
    return found


def fitted(model: dict[str, Any], features: Any = ("Age", "Male", "City"), **preprocessing: Any) -> Pipeline:
    config = PipelineConfig.model_validate(
        {"model": model, "data": {"features": list(features), "drop": []}, "preprocessing": preprocessing}
    )
    frame = frame_of()
    roles = preprocess.decide_roles(frame, config)
    return build_pipeline(config, roles).fit(preprocess.features_of(frame, roles), preprocess.target_of(frame, roles))


def two_fills(fill: str = "missing", min_frequency: int = 1) -> Pipeline:
    """A category branch that fills None and NaN alike before it encodes."""
    made = fitted(LOGISTIC)
    branch = Pipeline(
        [
            ("missing", SimpleImputer(strategy="constant", fill_value=fill, missing_values=np.nan)),
            ("none", SimpleImputer(strategy="constant", fill_value=fill, missing_values=None)),
            (
                "encode",
                OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=min_frequency, sparse_output=False),
            ),
        ]
    )
    numeric = made.named_steps["preprocess"].transformers[0]
    frame = frame_of()
    columns = ColumnTransformer([numeric, ("categorical", branch, ["City"])])
    pipeline = Pipeline([("preprocess", columns), ("classify", LogisticRegression())])
    features = frame[["Age", "Male", "City"]].astype({"Age": float, "Male": float, "City": object})
    return pipeline.fit(features, frame["Clicked on Ad"])


def opened(content: bytes) -> Any:
    return _load_skops(content, "m version 1")


MODELS = [
    LOGISTIC,
    *({"estimator": "LogisticRegression", "parameters": {"solver": one, "max_iter": 300}} for one in
      ("liblinear", "newton-cg", "newton-cholesky", "sag", "saga")),
    {"estimator": "LogisticRegression", "parameters": {"fit_intercept": False, "class_weight": "balanced"}},
    {"estimator": "LogisticRegression", "parameters": {"l1_ratio": 0.5, "solver": "saga", "random_state": 3}},
    BOOSTING,
    {"estimator": "HistGradientBoostingClassifier",
     "parameters": {"early_stopping": True, "class_weight": "balanced", "max_features": 0.5, "max_bins": 9}},
    FOREST,
    {"estimator": "RandomForestClassifier",
     "parameters": {"n_estimators": 2, "class_weight": "balanced_subsample", "ccp_alpha": 0.01}},
    {"estimator": "RandomForestClassifier",
     "parameters": {"n_estimators": 2, "class_weight": "balanced", "max_features": 0.5, "max_leaf_nodes": 5}},
]  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model['estimator']}-{len(str(model))}")
def test_every_classifier_of_ours_is_opened(model: dict[str, Any]) -> None:
    pipeline = fitted(model)

    again = opened(skops.io.dumps(pipeline))

    rows = frame_of()[["Age", "Male", "City"]].head(20)
    assert (again.predict_proba(rows) == pipeline.predict_proba(rows)).all()


@pytest.mark.parametrize(
    ("features", "scalers", "min_frequency"),
    [
        (("Age",), (), 1), (("City",), ("minmax",), 20), (("Age", "City"), ("minmax",), 250),
        (("City", "Male", "Age"), ("standard", "minmax"), 20), (("Age", "City"), (), 1),
    ],
)  # fmt: skip
def test_every_preprocessing_of_ours_is_opened(
    features: tuple[str, ...], scalers: tuple[str, ...], min_frequency: int
) -> None:
    pipeline = fitted(LOGISTIC, features, scalers=scalers, min_frequency=min_frequency, impute="mean")

    opened(skops.io.dumps(pipeline))


@pytest.mark.parametrize("min_frequency", [1, 20])
def test_categories_that_are_filled_in_before_they_are_encoded_are_opened(min_frequency: int) -> None:
    opened(skops.io.dumps(two_fills(min_frequency=min_frequency)))


def _column(pipeline: Pipeline) -> ColumnTransformer:
    found: ColumnTransformer = pipeline.named_steps["preprocess"]
    return found


def _extra_step(pipeline: Pipeline) -> None:
    pipeline.steps.insert(1, ("again", SimpleImputer()))


def _wrong_order(pipeline: Pipeline) -> None:
    pipeline.steps.reverse()


def _foreign_scaler(pipeline: Pipeline) -> None:
    union = _column(pipeline).transformers_[0][1].steps[1][1]
    union.transformer_list[0] = ("robust", RobustScaler())


def _unknown_attribute(pipeline: Pipeline) -> None:
    pipeline.steps[-1][1].remark = "hello"


def _missing_attribute(pipeline: Pipeline) -> None:
    del pipeline.steps[-1][1].n_features_in_


def _one_weight_more(pipeline: Pipeline) -> None:
    pipeline.steps[-1][1].coef_ = np.append(pipeline.steps[-1][1].coef_, [[1.0]], axis=1)


def _no_number(pipeline: Pipeline) -> None:
    pipeline.steps[-1][1].coef_[0, 0] = np.nan


def _other_kind_of_number(pipeline: Pipeline) -> None:
    pipeline.steps[-1][1].coef_ = pipeline.steps[-1][1].coef_.astype("float32")


def _truth_for_number(pipeline: Pipeline) -> None:
    pipeline.steps[-1][1].max_iter = True


def _three_classes(pipeline: Pipeline) -> None:
    pipeline.steps[-1][1].classes_ = np.array([0, 1, 2])


def _one_category_less(pipeline: Pipeline) -> None:
    encoder = _column(pipeline).transformers_[1][1].steps[-1][1]
    encoder.categories_ = [encoder.categories_[0][:-1]]


def _a_number_as_category(pipeline: Pipeline) -> None:
    _column(pipeline).transformers_[1][1].steps[-1][1].categories_[0][0] = 7


def _other_place(pipeline: Pipeline) -> None:
    _column(pipeline).output_indices_["categorical"] = slice(0, 4, None)


def _unknown_column(pipeline: Pipeline) -> None:
    name, branch, _ = _column(pipeline).transformers_[1]
    _column(pipeline).transformers_[1] = (name, branch, ["Country"])


def _parallel(pipeline: Pipeline) -> None:
    _column(pipeline).n_jobs = 2


def _remembering(pipeline: Pipeline) -> None:
    pipeline.memory = "somewhere"


CHANGES = [
    _extra_step, _wrong_order, _foreign_scaler, _unknown_attribute, _missing_attribute, _one_weight_more, _no_number,
    _other_kind_of_number, _truth_for_number, _three_classes, _one_category_less, _a_number_as_category, _other_place,
    _unknown_column, _parallel, _remembering,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_pipeline_that_differs_from_ours_is_refused(change: Callable[[Pipeline], None]) -> None:
    pipeline = fitted(LOGISTIC)
    change(pipeline)

    with pytest.raises(Untrusted, match="m version 1 is none of our Pipelines"):
        opened(skops.io.dumps(pipeline))


def test_two_fills_that_differ_are_refused() -> None:
    pipeline = two_fills()
    branch = _column(pipeline).transformers_[1][1]
    branch.steps[1][1].fill_value = "another"

    with pytest.raises(Untrusted, match="filled with one text"):
        opened(skops.io.dumps(pipeline))


def test_another_class_is_named() -> None:
    pipeline = fitted(LOGISTIC)
    _foreign_scaler(pipeline)

    with pytest.raises(ForbiddenType, match="RobustScaler"):
        opened(skops.io.dumps(pipeline))


def told(model: dict[str, Any]) -> Any:
    """What the file of a model holds, its classifier last."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(fitted(model)))) as archive:
        return skops_file.read(archive)


def _set(table: str, name: str, at: int, value: Any) -> Callable[[Any], None]:
    def change(attrs: Any) -> None:
        changed = attrs[table].copy()
        changed[name][at] = value
        attrs[table] = changed

    return change


def _cut(attrs: Any) -> None:
    attrs["nodes"] = attrs["nodes"][:-1]


def _more_nodes_than_there_are(attrs: Any) -> None:
    attrs["node_count"] += 1


@pytest.mark.parametrize(
    "change",
    [
        _set("nodes", "left_child", 0, 10_000), _set("nodes", "left_child", 0, 0), _set("nodes", "right_child", 0, -2),
        _set("nodes", "feature", 0, 77), _set("nodes", "feature", 0, -1), _set("nodes", "threshold", 0, np.nan),
        _set("nodes", "right_child", 0, 1), _cut, _more_nodes_than_there_are,
    ],
)  # fmt: skip
def test_a_forests_tree_stays_in_its_table(change: Callable[[Any], None]) -> None:
    found = told(FOREST)
    shapes.check(found)
    change(found.attrs["steps"][1][1].attrs["estimators_"][1].attrs["tree_"].attrs)

    with pytest.raises(Untrusted):
        shapes.check(found)


@pytest.mark.parametrize(
    "change",
    [
        _set("nodes", "left", 0, 10_000), _set("nodes", "left", 0, 0), _set("nodes", "feature_idx", 0, 77),
        _set("nodes", "feature_idx", 0, -1), _set("nodes", "is_categorical", 0, 1), _set("nodes", "is_leaf", 0, 2),
        _set("nodes", "value", 1, np.inf), _cut,
    ],
)  # fmt: skip
def test_a_boosted_tree_stays_in_its_table(change: Callable[[Any], None]) -> None:
    found = told(BOOSTING)
    shapes.check(found)
    change(found.attrs["steps"][1][1].attrs["_predictors"][1][0].attrs)

    with pytest.raises(Untrusted):
        shapes.check(found)


def _schema_changed(content: bytes, change: Callable[[Any], None]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as changed:
        for name in source.namelist():
            told_ = source.read(name)
            if name == "schema.json":
                schema = json.loads(told_)
                change(schema)
                told_ = json.dumps(schema).encode()
            changed.writestr(name, told_)
    return target.getvalue()


def _other_protocol(schema: Any) -> None:
    schema["protocol"] = 0


def _two_things_of_one(schema: Any) -> None:
    first, second = schema["content"]["content"]["steps"]["content"]
    second["content"][1]["__id__"] = first["content"][1]["__id__"]


def _one_file_for_two_arrays(schema: Any) -> None:
    attrs = schema["content"]["content"]["steps"]["content"][1]["content"][1]["content"]["content"]
    attrs["coef_"]["file"] = attrs["intercept_"]["file"]


@pytest.mark.parametrize("change", [_other_protocol, _two_things_of_one, _one_file_for_two_arrays])
def test_a_file_that_is_written_otherwise_is_refused(change: Callable[[Any], None]) -> None:
    with pytest.raises(Untrusted):
        opened(_schema_changed(skops.io.dumps(fitted(LOGISTIC)), change))
