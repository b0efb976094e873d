"""Every preprocessing that the configuration can ask for is opened, and no Pipeline that differs by a single entry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, RobustScaler

from ml.errors import ForbiddenType, Untrusted
from tests.unit.ml.model_file.conftest import LOGISTIC, fitted, frame_of, opened


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
