"""The shapes that our own Pipelines have in a file, step by step; whatever else a file holds is refused. Pure.

`ml.training.pipeline` and `ml.config.estimators` make them: numbers are filled in and scaled, categories encoded, and
one of three classifiers has the last word. Each rule names every attribute that scikit-learn gives such an object, and
what it may be; how the parts fit together is checked as well, since compiled code takes the sizes for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ml.model_file import classifiers
from ml.model_file.rules import (
    Rule,
    array,
    dtype,
    each,
    either,
    equal,
    nan,
    need,
    number,
    objects,
    one_of,
    row,
    text,
    that,
    thing,
    truth,
    whole,
)
from ml.model_file.skops_file import Thing

_NONE, _OFF, _ON = one_of(None), one_of(False), one_of(True)
_PIPELINE = {"transform_input": _NONE, "memory": _NONE, "verbose": _OFF}
_DICTIONARY = that(lambda value: type(value) is dict, "a dictionary")
_TEXT_DTYPE = that(lambda value: isinstance(value, np.dtype) and value.kind == "U", "the dtype of texts")
_UNION = {"n_jobs": _NONE, "transformer_weights": _NONE, "verbose": _OFF, "verbose_feature_names_out": _ON}
_IMPUTER = {"add_indicator": _OFF, "keep_empty_features": truth, "copy": _ON}
_ENCODER = {
    "categories": one_of("auto"), "sparse_output": _OFF, "drop": _NONE, "max_categories": _NONE,
    "handle_unknown": one_of("infrequent_if_exist"), "feature_name_combiner": one_of("concat"),
    "min_frequency": either(_NONE, whole(1), number(0, 1)),
    "dtype": equal(Thing("type", {"name": "numpy.float64"}), "numpy's float64"),
}  # fmt: skip
_TRANSFORMER = {
    "remainder": one_of("drop"), "sparse_threshold": number(0, 1), "n_jobs": _NONE, "transformer_weights": _NONE,
    "verbose": _OFF, "verbose_feature_names_out": _ON,
}  # fmt: skip


def check(value: Any) -> None:
    """Refuses as `Untrusted` what `skops_file.read` found in a file, unless it is a Pipeline of ours."""
    (_, columns), (_, classifier) = _steps(value, "it", 2, 2)
    width = _columns(columns, "its first step")
    classifiers.check(classifier, "its classifier", width)


def _steps(value: Any, at: str, least: int, most: int) -> Sequence[tuple[str, Any]]:
    thing("sklearn.pipeline.Pipeline", {**_PIPELINE, "steps": _named})(value, at)
    steps: Sequence[tuple[str, Any]] = value.attrs["steps"]
    need(least <= len(steps) <= most, at, f"a Pipeline of {least} to {most} steps")
    return steps


def _named(value: Any, at: str) -> None:
    """A list of named steps, whose names differ."""
    need(type(value) is list and value, at, "a list of steps")
    need(all(type(one) is tuple and len(one) == 2 and type(one[0]) is str for one in value), at, "a list of steps")
    need(len({name for name, _ in value}) == len(value), at, "a list of steps with names that differ")


def _columns(value: Any, at: str) -> int:
    """Checks what prepares the columns, and returns how many it makes of them."""
    names = {
        "transformers": _branches, "transformers_": _branches, "feature_names_in_": objects(text),
        "n_features_in_": whole(1), "sparse_output_": _OFF, "_columns": each(each(text)),
        "_transformer_to_input_indices": _DICTIONARY, "_remainder": equal(("remainder", "drop", []), "to drop nothing"),
        "output_indices_": _DICTIONARY,
    }  # fmt: skip
    thing("sklearn.compose._column_transformer.ColumnTransformer", {**_TRANSFORMER, **names})(value, at)
    attrs = value.attrs
    features = list(attrs["feature_names_in_"])
    need(len(set(features)) == len(features) == attrs["n_features_in_"], at, "of columns with names that differ")
    branches, width = attrs["transformers_"], 0
    need([one[0::2] for one in attrs["transformers"]] == [one[0::2] for one in branches], at, "fitted as it was made")
    need([one[2] for one in branches] == attrs["_columns"], at, "of the columns that it was made for")
    inputs: dict[str, Any] = {"remainder": []}
    outputs: dict[str, Any] = {}
    for (name, unfitted, _), (_, fitted, columns) in zip(attrs["transformers"], branches, strict=True):
        need(set(columns) <= set(features) and len(set(columns)) == len(columns) > 0, at, "of columns that it knows")
        made = _branch(fitted, f"its branch {name!r}", len(columns))
        _branch(unfitted, f"its branch {name!r}, unfitted,", None)
        inputs[name] = [features.index(column) for column in columns]
        outputs[name] = slice(width, width + made, None)
        width += made
    outputs["remainder"] = slice(0, 0, None)
    need(attrs["_transformer_to_input_indices"] == inputs, at, "of the columns that it was made for")
    need(attrs["output_indices_"] == outputs, at, "as wide as its branches are")
    return width


def _branches(value: Any, at: str) -> None:
    need(type(value) is list and 1 <= len(value) <= 2, at, "a list of one or two branches")
    for one in value:
        need(type(one) is tuple and len(one) == 3 and type(one[0]) is str, at, "a list of branches")
        each(text)(one[2], at)
    need(len({one[0] for one in value} - {"remainder"}) == len(value), at, "a list of branches with names that differ")


def _branch(value: Any, at: str, count: int | None) -> int:
    """Checks a branch for so many columns, None for one that is not fitted; returns how many columns it makes."""
    if isinstance(value, Thing) and value.kind.endswith(".OneHotEncoder"):
        return _encoder(value, at, count)
    steps = [step for _, step in _steps(value, at, 1, 3)]
    if len(steps) == 3:
        for step, missing in zip(steps, (nan, _NONE), strict=False):
            _text_imputer(step, at, count, missing)
        need(steps[0].attrs["fill_value"] == steps[1].attrs["fill_value"], at, "filled with one text")
        return _encoder(steps[2], at, count)
    _number_imputer(steps[0], at, count)
    return _scalers(steps[1], at, count) if len(steps) == 2 else count or 0


def _step(kind: str, made: dict[str, Rule], learned: dict[str, Rule], count: int | None) -> Rule:
    """A step as it is made and, where it was fitted to so many columns, what it learned."""
    if count is None:
        return thing(kind, made)
    fitted = {**made, **learned, "n_features_in_": one_of(count)}
    return thing(kind, fitted, {"feature_names_in_": objects(text, count)})


def _number_imputer(value: Any, at: str, count: int | None) -> None:
    strategies = one_of("mean", "median", "most_frequent")
    made = {**_IMPUTER, "missing_values": nan, "strategy": strategies, "fill_value": _NONE}
    learned = {
        "statistics_": array("float64", count or 0), "indicator_": _NONE,
        "_fit_dtype": dtype("float64"), "_fill_dtype": dtype("float64"),
    }  # fmt: skip
    _step("sklearn.impute._base.SimpleImputer", made, learned, count)(value, at)


def _text_imputer(value: Any, at: str, count: int | None, missing: Rule) -> None:
    made = {**_IMPUTER, "missing_values": missing, "strategy": one_of("constant"), "fill_value": text}
    learned = {
        "statistics_": objects(text, count), "indicator_": _NONE,
        "_fit_dtype": dtype("object"), "_fill_dtype": either(dtype("object"), _TEXT_DTYPE),
    }  # fmt: skip
    _step("sklearn.impute._base.SimpleImputer", made, learned, count)(value, at)
    if count is not None:
        need(set(value.attrs["statistics_"]) == {value.attrs["fill_value"]}, at, "filled with one text")


def _scalers(value: Any, at: str, count: int | None) -> int:
    thing("sklearn.pipeline.FeatureUnion", {**_UNION, "transformer_list": _named})(value, at)
    scalers = value.attrs["transformer_list"]
    need(len(scalers) <= 2, at, "of one or two scalers")
    for name, scaler in scalers:
        either(partial(_min_max, count=count), partial(_standard, count=count))(scaler, f"{at}'s scaler {name!r}")
    return len(scalers) * (count or 0)


def _min_max(value: Any, at: str, count: int | None) -> None:
    made = {"feature_range": equal((0, 1), "from 0 to 1"), "copy": _ON, "clip": _OFF}
    arrays = ("scale_", "min_", "data_min_", "data_max_", "data_range_")
    learned = {"n_samples_seen_": whole(0), **dict.fromkeys(arrays, array("float64", count or 0))}
    _step("sklearn.preprocessing._data.MinMaxScaler", made, learned, count)(value, at)


def _standard(value: Any, at: str, count: int | None) -> None:
    numbers = array("float64", count or 0)
    made = {"with_mean": _ON, "with_std": _ON, "copy": _ON}
    seen = either(number(0), array("int64", count or 0), numbers)
    learned = {"n_samples_seen_": seen, "mean_": numbers, "var_": numbers, "scale_": numbers}
    _step("sklearn.preprocessing._data.StandardScaler", made, learned, count)(value, at)


def _encoder(value: Any, at: str, count: int | None) -> int:
    learned = {
        "_infrequent_enabled": truth, "categories_": each(objects(either(text, _NONE, nan)), count),
        "_n_features_outs": each(whole(0)), "_drop_idx_after_grouping": _NONE, "drop_idx_": _NONE,
    }  # fmt: skip
    if isinstance(value, Thing) and value.attrs.get("_infrequent_enabled"):
        places = each(either(_NONE, row("int64")), count)
        learned |= {"_infrequent_indices": places, "_default_to_infrequent_mappings": places}
    _step("sklearn.preprocessing._encoders.OneHotEncoder", _ENCODER, learned, count)(value, at)
    if count is None:
        return 0
    widths = [_encoded_width(value.attrs, column, at) for column in range(count)]
    need(value.attrs["_n_features_outs"] == widths, at, "as wide as its categories are many")
    return sum(widths)


def _encoded_width(encoder: Any, column: int, at: str) -> int:
    """How many codes a column gets: one for each frequent category, and one for all others together."""
    count = len(encoder["categories_"][column])
    need(count > 0, at, "of columns with categories")
    if not encoder["_infrequent_enabled"]:
        return count
    infrequent = encoder["_infrequent_indices"][column]
    mapped = encoder["_default_to_infrequent_mappings"][column]
    need((infrequent is None) == (mapped is None), at, "grouped as its categories are")
    if infrequent is None:
        return count
    frequent = count - len(infrequent)
    fits = (
        0 < len(infrequent) <= count == len(mapped)
        and ((infrequent >= 0) & (infrequent < count)).all()
        and len(set(infrequent.tolist())) == len(infrequent)
        and sorted(set(mapped.tolist())) == list(range(frequent + 1))
        and (mapped[infrequent] == frequent).all()
    )
    need(fits, at, "grouped as its categories are")
    return frequent + 1
