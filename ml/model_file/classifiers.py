"""The shapes that the classifiers of `ml.config.estimators` have in a model's file, for two classes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ml.model_file import trees
from ml.model_file.rules import Rule, array, each, either, need, number, one_of, row, that, thing, truth, whole
from ml.model_file.skops_file import Thing

_NONE, _OFF, _ON = one_of(None), one_of(False), one_of(True)
_QUIET = {"verbose": one_of(0), "warm_start": _OFF}
_SEED = either(_NONE, whole(0, 2**32 - 1))
_COUNT = either(_NONE, whole(1))
_NUMBERS = row("float64")
_TEXTS = that(lambda value: type(value) is tuple and all(type(one) is str for one in value), "a list of texts")


def check(value: Any, at: str, width: int) -> None:
    """Refuses as `Untrusted` what is no fitted classifier of ours for so many columns."""
    kind = value.kind if isinstance(value, Thing) else ""
    need(kind in _CLASSIFIERS, at, f"one of {', '.join(name.rpartition('.')[2] for name in _CLASSIFIERS)}")
    _CLASSIFIERS[kind](width)(value, at)


def _classes(kind: str) -> Rule:
    def rule(value: Any, at: str) -> None:
        array(kind, 2)(value, at)
        need(value.tolist() == [0, 1], at, "0 and 1")

    return rule


def _logistic(width: int) -> Rule:
    made = {
        **_QUIET, "penalty": one_of("deprecated"), "C": number(0), "l1_ratio": number(0, 1), "dual": _OFF,
        "tol": number(0), "fit_intercept": truth, "intercept_scaling": one_of(1, 1.0), "n_jobs": _NONE,
        "class_weight": one_of(None, "balanced"), "random_state": _SEED, "max_iter": whole(1),
        "solver": one_of("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"),
    }  # fmt: skip
    learned = {
        "n_features_in_": one_of(width), "classes_": _classes("int64"), "n_iter_": array("int32", 1),
        "coef_": array("float64", 1, width), "intercept_": array("float64", 1),
    }  # fmt: skip
    return thing("sklearn.linear_model._logistic.LogisticRegression", {**made, **learned})


def _boosting(width: int) -> Rule:
    made = {
        **_QUIET, "loss": one_of("log_loss"), "learning_rate": number(0), "max_iter": whole(1),
        "max_leaf_nodes": _COUNT, "max_depth": _COUNT, "min_samples_leaf": whole(1), "l2_regularization": number(0),
        "max_features": number(0, 1), "max_bins": whole(2, 255), "monotonic_cst": _NONE, "interaction_cst": _NONE,
        "categorical_features": one_of("from_dtype"), "early_stopping": one_of("auto", True, False),
        "scoring": one_of("loss"), "validation_fraction": number(0, 1), "n_iter_no_change": whole(1),
        "tol": number(0), "random_state": _SEED, "class_weight": one_of(None, "balanced"),
    }  # fmt: skip
    learned = {
        "is_categorical_": _NONE, "_preprocessor": _NONE, "_is_categorical_remapped": _NONE,
        "n_features_in_": one_of(width), "_n_features": one_of(width), "classes_": _classes("int64"),
        "_label_encoder": thing("sklearn.preprocessing._label.LabelEncoder", {"classes_": _classes("int64")}),
        "n_trees_per_iteration_": one_of(1), "_random_seed": whole(0, 2**64 - 1), "_feature_subsample_rng": _generator,
        "_loss": _LOSS, "do_early_stopping_": truth, "_use_validation_data": truth, "_scorer": _NONE,
        "_bin_mapper": _bin_mapper(width), "_baseline_prediction": array("float64", 1, 1),
        "_predictors": each(each(trees.boosted(width), 1)), "train_score_": _NUMBERS, "validation_score_": _NUMBERS,
    }  # fmt: skip
    kind = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier"
    return thing(kind, {**made, **learned})


def _generator(value: Any, at: str) -> None:
    # It drew what training needed, and is asked no more.
    need(isinstance(value, Thing) and value.kind == "numpy.random._generator.Generator", at, "numpy's generator")
    need(value.attrs.keys() == {"bit_generator", "seed_seq"}, at, "numpy's generator")
    state = _whole_numbers(
        value.attrs["bit_generator"], f"{at}'s state", {"has_uint32": 1, "uinteger": 2**32}, "bit_generator", "state"
    )
    one_of("PCG64")(state["bit_generator"], at)
    _whole_numbers(state["state"], f"{at}'s state", {"state": 2**128, "inc": 2**128})
    limits = {"entropy": 2**64, "pool_size": 4, "n_children_spawned": 2**32}
    seeds = _whole_numbers(value.attrs["seed_seq"], f"{at}'s seeds", limits, "spawn_key")
    need(seeds["spawn_key"] == (), f"{at}'s seeds", "numpy's generator")


def _whole_numbers(value: Any, at: str, limits: Mapping[str, int], *others: str) -> Any:
    """A dictionary of whole numbers up to their limits, and of other values for the caller to check."""
    need(isinstance(value, dict) and value.keys() == {*limits, *others}, at, "numpy's generator")
    for name, most in limits.items():
        whole(0, most)(value[name], at)
    return value


_INTERVAL = thing(
    "sklearn._loss.link.Interval",
    {"low": number(0, 1), "high": number(0, 1), "low_inclusive": truth, "high_inclusive": truth},
)
_LOSS = thing(
    "sklearn._loss.loss.HalfBinomialLoss",
    {
        "closs": thing("sklearn._loss._loss.CyHalfBinomialLoss", {}), "n_classes": one_of(2),
        "link": thing("sklearn._loss.link.LogitLink", {}, {"interval_y_pred": _INTERVAL}),
        "approx_hessian": _OFF, "constant_hessian": _OFF, "interval_y_true": _INTERVAL, "interval_y_pred": _INTERVAL,
    },
    {"xp": _NONE, "device": _NONE},
)  # fmt: skip


def _bin_mapper(width: int) -> Rule:
    def no_categories(value: Any, at: str) -> None:
        array("uint8", width)(value, at)
        need(not value.any(), at, "of columns that are no categories")

    def bounds(value: Any, at: str) -> None:
        _NUMBERS(value, at)
        need(len(value) <= 255 and not np.isnan(value).any(), at, "a list of at most 255 bounds")

    attrs = {
        "n_bins": whole(3, 256), "subsample": either(_NONE, whole(1)), "is_categorical": _NONE,
        "known_categories": _NONE, "random_state": whole(0, 2**64 - 1), "n_threads": whole(1),
        "is_categorical_": no_categories, "missing_values_bin_idx_": whole(2, 255),
        "bin_thresholds_": each(bounds, width), "n_bins_non_missing_": array("uint32", width),
    }  # fmt: skip
    return thing("sklearn.ensemble._hist_gradient_boosting.binning._BinMapper", attrs)


_TREE_PARAMETERS = {
    "criterion": one_of("gini", "entropy", "log_loss"), "max_depth": _COUNT, "min_samples_split": whole(2),
    "min_samples_leaf": whole(1), "min_weight_fraction_leaf": number(0, 0), "max_leaf_nodes": _COUNT,
    "max_features": either(_NONE, number(0, 1), one_of("sqrt", "log2")), "min_impurity_decrease": number(0, 0),
    "ccp_alpha": number(0), "monotonic_cst": _NONE, "random_state": _SEED,
}  # fmt: skip


def _forest(width: int) -> Rule:
    kind = "sklearn.tree._classes.DecisionTreeClassifier"
    tree_made = {**_TREE_PARAMETERS, "splitter": one_of("best"), "class_weight": _NONE}
    tree_learned = {
        "n_features_in_": one_of(width), "n_outputs_": one_of(1), "classes_": _classes("float64"),
        "n_classes_": whole(2, 2), "max_features_": whole(1, width), "tree_": trees.grown(width),
    }  # fmt: skip
    made = {
        **_QUIET, **_TREE_PARAMETERS, "n_estimators": whole(1), "bootstrap": _ON, "oob_score": _OFF,
        "n_jobs": _NONE, "max_samples": _NONE, "class_weight": one_of(None, "balanced", "balanced_subsample"),
        "estimator": thing(kind, tree_made), "estimator_params": _TEXTS,
    }  # fmt: skip
    learned = {
        "n_features_in_": one_of(width), "_n_samples": whole(1), "n_outputs_": one_of(1), "n_classes_": one_of(2),
        "classes_": _classes("int64"), "_n_samples_bootstrap": whole(1), "estimator_": thing(kind, tree_made),
        "estimators_": each(thing(kind, {**tree_made, **tree_learned})),
    }  # fmt: skip
    weights = {"_sample_weight": either(_NONE, _NUMBERS)}
    whole_forest = thing("sklearn.ensemble._forest.RandomForestClassifier", {**made, **learned}, weights)

    def rule(value: Any, at: str) -> None:
        whole_forest(value, at)
        need(len(value.attrs["estimators_"]) == value.attrs["n_estimators"], at, "of as many trees as it says")

    return rule


_CLASSIFIERS: Mapping[str, Callable[[int], Rule]] = {
    "sklearn.linear_model._logistic.LogisticRegression": _logistic,
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier": _boosting,
    "sklearn.ensemble._forest.RandomForestClassifier": _forest,
}
