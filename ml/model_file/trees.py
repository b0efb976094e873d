"""What the trees in a model's file may be: tables of numbers, none of which leads outside of its table. Pure.

scikit-learn's compiled code follows the numbers of a tree without looking; a file that somebody made could lead it out
of the table, or round and round in it. In a tree that was grown, a child always stands behind its parent, and every
node but the first is the child of one other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.model_file.rules import Rule, array, need, one_of, thing, whole
from ml.model_file.skops_file import Thing

_NODE = {
    "left_child": "<i8", "right_child": "<i8", "feature": "<i8", "threshold": "<f8", "impurity": "<f8",
    "n_node_samples": "<i8", "weighted_n_node_samples": "<f8", "missing_go_to_left": "|u1",
}  # fmt: skip
_BOOSTED_NODE = {
    "value": "<f8", "count": "<u4", "feature_idx": "<i8", "num_threshold": "<f8", "missing_go_to_left": "|u1",
    "left": "<u4", "right": "<u4", "gain": "<f8", "depth": "<u4", "is_leaf": "|u1", "bin_threshold": "|u1",
    "is_categorical": "|u1", "bitset_idx": "<u4",
}  # fmt: skip


def grown(n_features: int) -> Rule:
    """A tree of a forest, for so many features and two classes."""

    def rule(value: Any, at: str) -> None:
        need(isinstance(value, Thing) and value.kind == "sklearn.tree._tree.Tree", at, "a tree")
        need(len(value.args) == 3, at, "a tree of two classes")
        features, classes, outputs = value.args
        one_of(n_features)(features, f"{at}'s number of features")
        one_of(1)(outputs, f"{at}'s number of outputs")
        array("int64", 1)(classes, f"{at}'s classes")
        need(int(classes[0]) == 2, at, "a tree of two classes")
        need(value.attrs.keys() == {"max_depth", "node_count", "nodes", "values"}, at, "a tree as it is saved")
        nodes, count = value.attrs["nodes"], len(value.attrs["nodes"])
        _table(nodes, _NODE, at)
        one_of(count)(value.attrs["node_count"], f"{at}'s number of nodes")
        whole(0, count)(value.attrs["max_depth"], f"{at}'s depth")
        array("float64", count, 1, 2)(value.attrs["values"], f"{at}'s values")
        is_leaf = nodes["left_child"] == -1
        need(((nodes["right_child"] == -1) == is_leaf).all(), at, "a tree whose leaves have no children")
        _links(nodes["left_child"], nodes["right_child"], is_leaf, at)
        _splits(nodes["feature"][~is_leaf], nodes["threshold"][~is_leaf], n_features, at)

    return rule


def boosted(n_features: int) -> Rule:
    """A tree of gradient boosting for so many features, none of them a category to it: ours are encoded before."""

    def nodes(value: Any, at: str) -> None:
        _table(value, _BOOSTED_NODE, at)
        is_leaf = value["is_leaf"] == 1
        need((is_leaf | (value["is_leaf"] == 0)).all() and not value["is_categorical"].any(), at, "of plain splits")
        need(np.isfinite(value["value"]).all(), f"{at}'s values", "finite numbers")
        _links(value["left"].astype("int64"), value["right"].astype("int64"), is_leaf, at)
        _splits(value["feature_idx"][~is_leaf], value["num_threshold"][~is_leaf], n_features, at)

    nothing = array("uint32", 0, 8)
    return thing(
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        {"nodes": nodes, "binned_left_cat_bitsets": nothing, "raw_left_cat_bitsets": nothing},
    )


def _table(nodes: Any, layout: dict[str, str], at: str) -> None:
    is_table = isinstance(nodes, np.ndarray) and nodes.ndim == 1 and len(nodes) > 0 and nodes.dtype.names is not None
    need(is_table, at, "a table of nodes")
    columns = [(name, nodes.dtype[name].str) for name in nodes.dtype.names]
    need(columns == list(layout.items()), at, "a table of nodes as scikit-learn lays them out")


def _links(left: Any, right: Any, is_leaf: Any, at: str) -> None:
    parents = np.flatnonzero(~is_leaf)
    children = np.concatenate([left[parents], right[parents]])
    inside = ((children > np.tile(parents, 2)) & (children < len(left))).all()
    need(inside and np.array_equal(np.sort(children), np.arange(1, len(left))), at, "a tree in its own table")


def _splits(features: Any, thresholds: Any, n_features: int, at: str) -> None:
    need(((features >= 0) & (features < n_features)).all(), at, f"a tree of {n_features} features")
    # Infinity parts what is missing from all that is not.
    need(not np.isnan(thresholds).any(), f"{at}'s thresholds", "numbers")
