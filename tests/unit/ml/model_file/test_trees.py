"""A tree of a model's file leads nowhere but to its own nodes, each of which it reaches once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.errors import Untrusted
from ml.model_file import shapes, trees
from tests.unit.ml.model_file.conftest import BOOSTING, FOREST, told


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


def _tree(model: dict[str, Any]) -> Any:
    """The first tree of a model's file."""
    attrs = told(model).attrs["steps"][1][1].attrs
    return attrs["estimators_"][0].attrs["tree_"] if model is FOREST else attrs["_predictors"][0][0]


def test_a_tree_asks_for_no_feature_beyond_the_last() -> None:
    tree = _tree(BOOSTING)
    asked = tree.attrs["nodes"]["feature_idx"].max() + 1

    trees.boosted(asked)(tree, "it")
    with pytest.raises(Untrusted, match=f"it.nodes is not a tree of {asked - 1} features"):
        trees.boosted(asked - 1)(tree, "it")


@pytest.mark.parametrize(("model", "column"), [(FOREST, "threshold"), (BOOSTING, "num_threshold")])
def test_infinity_parts_rows_and_no_number_does_not(model: dict[str, Any], column: str) -> None:
    tree = _tree(model)
    rule = trees.grown(tree.args[0]) if model is FOREST else trees.boosted(1_000)

    _set("nodes", column, 0, np.inf)(tree.attrs)
    rule(tree, "it")
    _set("nodes", column, 0, np.nan)(tree.attrs)
    with pytest.raises(Untrusted, match="thresholds is not numbers"):
        rule(tree, "it")


@pytest.mark.parametrize("changed", [{0: 7}, {0: 9}, {1: np.array([3])}, {1: np.array([2.0])}, {2: 2}], ids=str)
def test_a_forests_tree_is_one_of_two_classes_and_these_features(changed: dict[int, Any]) -> None:
    tree = _tree(FOREST)
    args = tuple(changed.get(place, each) for place, each in enumerate(tree.args))

    trees.grown(8)(tree, "it")
    with pytest.raises(Untrusted):
        trees.grown(8)(replace(tree, args=args), "it")
