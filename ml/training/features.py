"""Which rows train and which test, what each column is to the model, and the Pipeline that is fitted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml.config.schema import IMBALANCED, RARE_ROWS, PipelineConfig
from ml.errors import ContractViolation
from ml.inspection import exclusions
from ml.reading.columns import columns_of, converted, model_frame
from ml.reading.contract import target_labels
from ml.values import Column

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# One-hot encoding a column with more values than this is a mistake more often than a feature.
MAX_CATEGORIES = 1000
NO_CATEGORY = "\ue000missing"
"""Stands for a missing category inside the Pipeline; a text with a character of Unicode's private area, which no data
set has."""


@dataclass(frozen=True)
class Roles:
    """What each column is to the model.

    Attributes:
        numeric: Features that are scaled, in the table's order.
        categorical: Features that are one-hot encoded, in the table's order.
        negative: The label that counts as 0.
        positive: The label that counts as 1.
        readings: How the features' values are read, by name.
        left_out: Why a column is not learned from, by name.
        min_frequency: Categories with fewer rows in the training part are taken together.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    target: str
    negative: Any
    positive: Any
    readings: Mapping[str, Column] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    min_frequency: int = 1

    @property
    def features(self) -> list[str]:
        """Every feature, numeric ones first."""
        return [*self.numeric, *self.categorical]

    @property
    def columns(self) -> list[Column]:
        """How each feature is read, in the order of `features`."""
        kinds = dict.fromkeys(self.numeric, "number") | dict.fromkeys(self.categorical, "category")
        return [self.readings.get(name) or Column(name, kinds[name]) for name in self.features]

    def as_dict(self) -> dict[str, Any]:
        """Plain values; `Roles.from_dict` reads them back."""
        readings = {name: column.as_dict() for name, column in self.readings.items()}
        return {**vars(self), "readings": readings, "left_out": dict(self.left_out)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Roles:
        """Reads what `as_dict` wrote."""
        readings = {name: Column.of(name, each) for name, each in values.get("readings", {}).items()}
        names = {key: tuple(values[key]) for key in ("numeric", "categorical")}
        return cls(**{**values, **names, "readings": readings})


def decide_roles(frame: pd.DataFrame, config: PipelineConfig, columns: Mapping[str, Column] | None = None) -> Roles:
    """Decides what each column is to the model.

    Args:
        frame: A table that keeps the contract.
        config: Its `data.features` lists the features; `auto` takes the contract's columns, less the target, what is
            dropped, and less text and dates; where there is no contract every column of the table, less also what
            `ml.inspection.exclusions` finds useless or dangerous.
        columns: How each column is read; decided from the table when None.

    Raises:
        ContractViolation: No feature is left, or a text column has too many different values to be a category.
    """
    columns = columns or columns_of(frame, config)
    left_out = {} if config.data.features != "auto" else _left_out(frame, config, columns)
    names = [name for name in frame.columns if _is_feature(name, config) and name not in left_out]
    numeric = tuple(name for name in names if columns[name].is_numeric)
    categorical = tuple(name for name in names if name not in numeric)
    for name in categorical:
        different = frame[name].nunique()
        if different > MAX_CATEGORIES:
            raise ContractViolation(
                f"column {name!r} has {different:,} different values, which is no category: add it to data.drop"
            )
    if not names:
        whys = "; ".join(f"{name!r}: {why}" for name, why in left_out.items())[:500]
        raise ContractViolation(
            f"no feature is left{f' ({whys})' if whys else ''}: list some in data.features, or drop fewer columns"
        )
    negative, positive = target_labels(frame, config)
    frequency = config.preprocessing.min_frequency
    if frequency == "auto":
        has_rare = any((frame[name].value_counts() < RARE_ROWS).any() for name in categorical)
        frequency = RARE_ROWS if has_rare else 1
    readings = {name: columns[name] for name in [*numeric, *categorical]}
    return Roles(numeric, categorical, config.data.target, negative, positive, readings, left_out, frequency)


def _is_feature(name: str, config: PipelineConfig) -> bool:
    data = config.data
    if data.features != "auto":
        return name in data.features
    return name != data.target and name not in data.drop


def _left_out(frame: pd.DataFrame, config: PipelineConfig, columns: Mapping[str, Column]) -> dict[str, str]:
    """Why columns are not learned from, where nobody listed the features; what was dropped by name is left out."""
    names = [name for name in frame.columns if _is_feature(name, config)]
    if not config.contract:
        is_positive = frame[config.data.target] == target_labels(frame, config)[1]
        values = {name: (converted(frame[name], columns[name])[0], columns[name].type) for name in names}
        return exclusions.left_out(values, is_positive)
    whys = {"string": "text, as the schema says", "datetime": "a moment, not a property"}
    reasons = {name: whys.get(columns[name].type) if name in config.contract else "not in the schema" for name in names}
    return {name: reason for name, reason in reasons.items() if reason}


def split_rows(frame: pd.DataFrame, config: PipelineConfig) -> tuple[np.ndarray, np.ndarray]:
    """Divides the rows by the seed: the positions of the training and of the test rows, in the order of their use.

    Raises:
        ContractViolation: One of the parts would have no row, or one class only.
    """
    import numpy as np
    from sklearn.model_selection import train_test_split

    target, size = frame[config.data.target], config.split.test_size
    stratify = config.split.stratify
    if stratify == "auto":
        stratify = bool(target.value_counts(normalize=True).min() < IMBALANCED)
    try:
        train, test = train_test_split(
            np.arange(len(frame)),
            test_size=size,
            random_state=config.split.random_state,
            stratify=target if stratify else None,
        )
    except ValueError as error:
        raise ContractViolation(
            f"{len(frame)} rows cannot be split with split.test_size {size:g} so that each part has both classes: "
            "set another, or bring more rows"
        ) from error
    for name, rows in (("training", train), ("test", test)):
        if target.iloc[rows].nunique() < 2:
            raise ContractViolation(
                f"the {name} part of {len(rows)} rows has one class only: set split.stratify, or bring more rows"
            )
    return train, test


def features_of(frame: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """The features, of shape (n_rows, n_features): numbers as float64, categories as text, missing ones as NaN."""
    return model_frame(frame, roles.columns)


def target_of(frame: pd.DataFrame, roles: Roles) -> pd.Series:
    """The target as 0 and 1, of shape (n_rows,)."""
    is_positive: pd.Series = frame[roles.target] == roles.positive
    return is_positive.astype("int64").reset_index(drop=True).rename(roles.target)
