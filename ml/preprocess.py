"""Which rows train and which test, what each column is to the model, and the Pipeline that is fitted. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ml import estimators
from ml.config import PipelineConfig
from ml.contract import as_text, target_labels
from ml.errors import ContractViolation

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline

# One-hot encoding a column with more values than this is a mistake more often than a feature.
MAX_CATEGORIES = 1000


@dataclass(frozen=True)
class Roles:
    """What each column is to the model.

    Attributes:
        numeric: Features that are scaled, in the table's order.
        categorical: Features that are one-hot encoded, in the table's order.
        target: The column to predict.
        negative: The label that counts as 0.
        positive: The label that counts as 1.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    target: str
    negative: Any
    positive: Any

    @property
    def features(self) -> list[str]:
        """Every feature, numeric ones first."""
        return [*self.numeric, *self.categorical]

    def as_dict(self) -> dict[str, Any]:
        """Plain values; `Roles.from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Roles:
        """Reads what `as_dict` wrote."""
        return cls(**{**found, "numeric": tuple(found["numeric"]), "categorical": tuple(found["categorical"])})


def decide_roles(frame: pd.DataFrame, config: PipelineConfig) -> Roles:
    """Decides what each column is to the model.

    Args:
        frame: A table that keeps the contract.
        config: Its `data.features` lists the features; `auto` takes the contract's columns (the table's where there is
            no contract) less the target and what is dropped, and less text and dates.

    Raises:
        ContractViolation: No feature is left, or a text column has too many different values to be a category.
    """
    listed = config.data.features
    names = [name for name in frame.columns if name in listed] if listed != "auto" else _auto(frame, config)
    numeric = tuple(name for name in names if _is_numeric(frame[name], config, name))
    categorical = tuple(name for name in names if name not in numeric)
    for name in categorical:
        distinct = frame[name].nunique()
        if distinct > MAX_CATEGORIES:
            raise ContractViolation(
                f"column {name!r} has {distinct:,} different values, which is no category: add it to data.drop"
            )
    if not names:
        raise ContractViolation("no feature is left: list some in data.features, or drop fewer columns")
    negative, positive = target_labels(frame, config)
    return Roles(numeric, categorical, config.data.target, negative, positive)


def _auto(frame: pd.DataFrame, config: PipelineConfig) -> list[str]:
    away = {config.data.target, *config.data.drop}
    contract = config.contract
    if not contract:
        return [name for name in frame.columns if name not in away and not frame[name].isna().all()]
    kept = {name for name, rule in contract.items() if rule.type not in ("string", "datetime")}
    return [name for name in frame.columns if name in kept and name not in away]


def _is_numeric(column: pd.Series, config: PipelineConfig, name: str) -> bool:
    import pandas as pd

    rule = config.contract.get(name)
    if rule is not None:
        return rule.type in ("number", "integer", "boolean")
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def split_rows(frame: pd.DataFrame, config: PipelineConfig) -> tuple[np.ndarray, np.ndarray]:
    """Divides the rows by the seed.

    Returns:
        The positions of the training rows and of the test rows, in the order in which they are used.

    Raises:
        ContractViolation: One of the parts would have one class only.
    """
    import numpy as np
    from sklearn.model_selection import train_test_split

    target = frame[config.data.target]
    train, test = train_test_split(
        np.arange(len(frame)),
        test_size=config.split.test_size,
        random_state=config.split.random_state,
        stratify=target if config.split.stratify else None,
    )
    for name, rows in (("training", train), ("test", test)):
        if target.iloc[rows].nunique() < 2:
            raise ContractViolation(
                f"the {name} part of {len(rows)} rows has one class only: set split.stratify, or bring more rows"
            )
    return train, test


def features_of(frame: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """The features as the model takes them: numbers as float64, categories as text, missing ones as NaN.

    Returns:
        A new table of shape (n_rows, n_features), columns as in `roles.features`.
    """
    import pandas as pd

    columns = {name: frame[name].astype("float64") for name in roles.numeric}
    columns |= {name: as_text(frame[name]) for name in roles.categorical}
    return pd.DataFrame(columns, index=frame.index).reset_index(drop=True)


def target_of(frame: pd.DataFrame, roles: Roles) -> pd.Series:
    """The target as 0 and 1, of shape (n_rows,)."""
    column = frame[roles.target]
    found: pd.Series = (column == roles.positive).astype("int64").reset_index(drop=True).rename(roles.target)
    return found


def build_pipeline(config: PipelineConfig, roles: Roles) -> Pipeline:
    """The model, not yet fitted: one Pipeline from raw columns to a probability.

    Numbers are imputed and then scaled by each scaler side by side; categories are one-hot encoded, where a missing
    value is a category of its own and one that training never saw is all zeros.
    """
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
            handle_unknown="infrequent_if_exist", min_frequency=config.preprocessing.min_frequency, sparse_output=False
        )
        branches.append(("categorical", encoder, list(roles.categorical)))
    estimator = estimators.build(config.model.estimator, config.model.parameters)
    return Pipeline([("preprocess", ColumnTransformer(branches)), ("classify", estimator)])
