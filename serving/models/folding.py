"""Folding a fitted Pipeline into one matrix product. Pure.

Every scaler and imputer of ours works on one column at a time, so each feature that the classifier sees is
`scale * x + offset` of one raw column (or one number for each category), and the classifier's weighted sum of them is
again one weight a column. What cannot be folded is recognised and left to sklearn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.models.linear import UNSEEN, LinearForm


class NotLinear(Exception):
    """The Pipeline holds something that cannot be folded; the message names it."""


@dataclass
class Feature:
    """One column on its way through the Pipeline: `scale * x + offset`, or a table for text.

    Attributes:
        fill: The raw value that stands for a missing one; None where a missing one stays missing.
        table: For text: the feature's value for each known text, for a missing one (None) and for an unseen one.
        centre: A raw value from which contributions are counted: a scaler's mean, or else what an imputer fills in.
        word: For text that is not encoded yet: what stands for a missing one; None where nothing does.
    """

    column: str
    scale: float = 1.0
    offset: float = 0.0
    fill: float | None = None
    table: Mapping[Any, float] | None = None
    centre: float | None = None
    word: str | None = None


def fold(pipeline: Any, inputs: Mapping[str, str]) -> LinearForm:
    """Folds a fitted Pipeline that ends in a binary logistic regression; `inputs` are its raw columns' MLflow types.

    Raises:
        NotLinear: It holds something that is not folded here.
    """
    steps = [step for _, step in getattr(pipeline, "steps", [])]
    if not steps or type(steps[-1]).__name__ != "LogisticRegression" or steps[-1].coef_.shape[0] != 1:
        raise NotLinear("it does not end in a logistic regression of two classes")
    features = [Feature(name) for name in inputs]
    for step in steps[:-1]:
        features = _through(step, features)
    classifier = steps[-1]
    if len(features) != classifier.coef_.shape[1]:
        raise NotLinear("it does not use each column as expected")
    return _summed(features, classifier.coef_[0].tolist(), float(classifier.intercept_[0]), inputs)


def _summed(features: list[Feature], weights: list[float], bias: float, inputs: Mapping[str, str]) -> LinearForm:
    numbers: dict[str, list[tuple[Feature, float]]] = {}
    texts: dict[str, dict[Any, float]] = {}
    for feature, weight in zip(features, weights, strict=True):
        if feature.table is not None:
            added = texts.setdefault(feature.column, dict.fromkeys(feature.table, 0.0))
            for value, number in feature.table.items():
                added[value] += weight * number
        elif inputs[feature.column] == "string":
            raise NotLinear(f"text column {feature.column!r} is not encoded")
        else:
            numbers.setdefault(feature.column, []).append((feature, weight))
    names, rows = tuple(numbers), []
    fixed = abs(bias) + sum(max(map(abs, added.values())) for added in texts.values())
    for name, used in numbers.items():
        fills = {feature.fill for feature, _ in used}
        if len(fills) > 1:
            raise NotLinear(f"column {name!r} is imputed in two ways")
        size = sum(abs(w * f.scale) for f, w in used)
        fixed += sum(abs(w * f.offset) for f, w in used)
        centre = next((feature.centre for feature, _ in used if feature.centre is not None), 0.0)
        fill = fills.pop()
        rows.append((sum(w * f.scale for f, w in used), centre, np.nan if fill is None else fill, size))
        bias += sum(w * (f.scale * centre + f.offset) for f, w in used)
    matrix = np.array(rows, dtype=np.float64).reshape(len(names), 4)
    return LinearForm(names, matrix[:, 0], matrix[:, 1], matrix[:, 2], texts, bias, matrix[:, 3], fixed)


def _through(step: Any, features: list[Feature]) -> list[Feature]:
    """What the features are after a step."""
    kind = type(step).__name__
    if kind not in _HANDLERS:
        raise NotLinear(f"{kind} is not folded")
    return _HANDLERS[kind](step, features)


def _pipeline(step: Any, features: list[Feature]) -> list[Feature]:
    for _, one in step.steps:
        features = _through(one, features)
    return features


def _union(step: Any, features: list[Feature]) -> list[Feature]:
    if step.transformer_weights:
        raise NotLinear("a FeatureUnion has weights")
    return [feature for _, one in step.transformer_list for feature in _through(one, features)]


def _columns(step: Any, features: list[Feature]) -> list[Feature]:
    if step.transformer_weights:
        raise NotLinear("a ColumnTransformer has weights")
    named = {feature.column: feature for feature in features}
    after: list[Feature] = []
    for _, one, columns in step.transformers_:
        if len(named) != len(features) or not all(isinstance(column, str) for column in columns):
            raise NotLinear("a ColumnTransformer names its columns by something else than their names")
        after += _through(one, [named[column] for column in columns])
    return after


def _imputer(step: Any, features: list[Feature]) -> list[Feature]:
    fills = np.asarray(step.statistics_)
    if fills.dtype == object:
        return _word_imputer(step, features)
    if step.add_indicator or fills.dtype.kind != "f" or np.isnan(fills).any() or not _is_nan(step.missing_values):
        raise NotLinear("an imputer does more than to fill numbers")
    _plain_numbers(features)
    if any(_is_changed(feature) or feature.word is not None for feature in features):
        raise NotLinear("an imputer comes behind something else")
    return [
        replace(feature, fill=float(fill), centre=float(fill)) for feature, fill in zip(features, fills, strict=True)
    ]


def _word_imputer(step: Any, features: list[Feature]) -> list[Feature]:
    words = list(step.statistics_)
    is_plain = step.strategy == "constant" and not step.add_indicator and all(type(word) is str for word in words)
    if not is_plain or len(words) != len(features) or any(map(_is_changed, features)):
        raise NotLinear("an imputer does more than to fill in a text, or comes behind something else")
    # Whoever asks says NaN for a missing text; one that fills None besides finds none, and must mean the same.
    if step.missing_values is None and [feature.word for feature in features] == words:
        return features
    if not _is_nan(step.missing_values) or any(feature.word is not None for feature in features):
        raise NotLinear("an imputer fills in texts for something else than missing ones")
    return [replace(feature, word=word) for feature, word in zip(features, words, strict=True)]


def _is_changed(feature: Feature) -> bool:
    return feature.table is not None or (feature.scale, feature.offset, feature.fill) != (1.0, 0.0, None)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def _standard(step: Any, features: list[Feature]) -> list[Feature]:
    moved = _affine(features, 1.0 / step.scale_, -step.mean_ / step.scale_)
    if any((feature.scale, feature.offset) != (1.0, 0.0) for feature in features):
        return moved
    return [replace(feature, centre=float(middle)) for feature, middle in zip(moved, step.mean_, strict=True)]


def _min_max(step: Any, features: list[Feature]) -> list[Feature]:
    if step.clip:
        raise NotLinear("a MinMaxScaler clips")
    return _affine(features, step.scale_, step.min_)


def _affine(features: list[Feature], scales: Any, offsets: Any) -> list[Feature]:
    _plain_numbers(features)
    return [
        replace(feature, scale=feature.scale * float(scale), offset=feature.offset * float(scale) + float(offset))
        for feature, scale, offset in zip(features, scales, offsets, strict=True)
    ]


def _plain_numbers(features: list[Feature]) -> None:
    if any(feature.table is not None for feature in features):
        raise NotLinear("something comes behind an encoder")


def _one_hot(step: Any, features: list[Feature]) -> list[Feature]:
    _plain_numbers(features)
    if step.handle_unknown == "error" or any(map(_is_changed, features)):
        raise NotLinear("an encoder refuses what training never saw, or comes behind something else")
    after: list[Feature] = []
    for at, feature in enumerate(features):
        values = [*(value for value in step.categories_[at] if value is not None and value == value), None, UNSEEN]
        codes = _encoded(step, at, [feature.word if value is None else value for value in values])
        tables = [dict(zip(values, code.tolist(), strict=True)) for code in codes.transpose()]
        after += [Feature(feature.column, table=table) for table in tables]
    return after


def _encoded(step: Any, at: int, values: list[Any]) -> NDArray[np.float64]:
    """What an encoder makes of values of one of its columns, asked of itself; shape (n_values, n_codes)."""
    import warnings

    import pandas as pd

    others = [categories[0] for categories in step.categories_]
    rows = [[*others[:at], np.nan if value is None else value, *others[at + 1 :]] for value in values]
    names = getattr(step, "feature_names_in_", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coded = step.transform(pd.DataFrame(rows, columns=names, dtype=object))
    dense = coded.toarray() if hasattr(coded, "toarray") else np.asarray(coded)
    sizes = [int(size) for size in step._n_features_outs]
    start = sum(sizes[:at])
    return np.asarray(dense[:, start : start + sizes[at]], dtype=np.float64)


_HANDLERS: Mapping[str, Callable[[Any, list[Feature]], list[Feature]]] = {
    "Pipeline": _pipeline,
    "FeatureUnion": _union,
    "ColumnTransformer": _columns,
    "SimpleImputer": _imputer,
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "OneHotEncoder": _one_hot,
}
