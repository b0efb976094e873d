"""The Pipeline that is fitted: from raw columns to a probability. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.config import estimators
from ml.config.schema import PipelineConfig
from ml.training.features import NO_CATEGORY, Roles

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def known_categories(pipeline: Any) -> dict[str, frozenset[str]]:
    """The categories that a fitted Pipeline of ours saw in training, by column."""
    by_column: dict[str, frozenset[str]] = {}
    for step in getattr(pipeline, "steps", [])[:1]:
        for _, one, columns in getattr(step[1], "transformers_", []):
            encoder = one.steps[-1][1] if hasattr(one, "steps") else one
            for column, categories in zip(columns, getattr(encoder, "categories_", []), strict=False):
                texts = (each for each in categories if isinstance(each, str) and each != NO_CATEGORY)
                by_column[column] = frozenset(texts)
    return by_column


def build_pipeline(config: PipelineConfig, roles: Roles) -> Pipeline:
    """The model, not yet fitted: one Pipeline from raw columns to a probability.

    Numbers are imputed and then scaled by each scaler side by side; categories are one-hot encoded, where a missing
    value is a category of its own and one that training never saw is all zeros.
    """
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import FeatureUnion, Pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

    scalers = {"minmax": MinMaxScaler, "standard": StandardScaler}
    branches: list[tuple[str, Any, list[str]]] = []
    if roles.numeric:
        imputer = ("impute", SimpleImputer(strategy=config.preprocessing.impute, keep_empty_features=True))
        union = [("scale", FeatureUnion([(name, scalers[name]()) for name in config.preprocessing.scalers]))]
        steps = [imputer, *(union if config.preprocessing.scalers else [])]
        branches.append(("numeric", Pipeline(steps), list(roles.numeric)))
    if roles.categorical:
        encoder = OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=roles.min_frequency, sparse_output=False
        )
        fill: dict[str, Any] = {"strategy": "constant", "fill_value": NO_CATEGORY, "keep_empty_features": True}
        # Servers of other makes hand over a missing text as None or as NaN, which are two categories to the encoder.
        steps = [
            ("missing", SimpleImputer(missing_values=np.nan, **fill)),
            ("none", SimpleImputer(missing_values=None, **fill)),
            ("encode", encoder),
        ]
        branches.append(("categorical", Pipeline(steps), list(roles.categorical)))
    estimator = estimators.build(config.model.estimator, config.model.parameters)
    return Pipeline([("preprocess", ColumnTransformer(branches)), ("classify", estimator)])
