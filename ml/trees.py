"""Looks through the trees of a loaded model: no number in them may lead outside of their tables. Pure.

scikit-learn's compiled code follows the numbers of a tree without looking; a file that somebody made could lead it out
of the table, or round and round in it. In a tree that was grown, a child always stands behind its parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.errors import Untrusted

if TYPE_CHECKING:
    import numpy as np


def check(pipeline: Any) -> None:
    """Checks every tree of a Pipeline's last step; one without trees passes.

    Raises:
        Untrusted: A tree leads outside of its table.
    """
    steps = getattr(pipeline, "steps", None)
    last = steps[-1][1] if steps else pipeline
    n_features = int(getattr(last, "n_features_in_", 0))
    for iteration in getattr(last, "_predictors", ()):
        for predictor in iteration:
            _check_boosted(predictor, n_features)
    for grown in getattr(last, "estimators_", ()):
        tree = grown.tree_
        _check_children(tree.children_left, tree.children_right, tree.children_left < 0)
        _check_range("feature", tree.feature[tree.children_left >= 0], n_features)


def _check_boosted(predictor: Any, n_features: int) -> None:
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    _check_children(nodes["left"].astype("int64"), nodes["right"].astype("int64"), is_leaf)
    _check_range("feature", nodes["feature_idx"][~is_leaf], n_features)
    categorical = nodes[~is_leaf & nodes["is_categorical"].astype(bool)]
    _check_range("bitset", categorical["bitset_idx"], len(predictor.raw_left_cat_bitsets))


def _check_children(left: np.ndarray, right: np.ndarray, is_leaf: np.ndarray) -> None:
    import numpy as np

    parents = np.flatnonzero(~is_leaf)
    for children in (left, right):
        found = children[parents]
        if ((found <= parents) | (found >= len(children))).any():
            raise Untrusted("a tree of it leads outside of its own table")


def _check_range(what: str, found: np.ndarray, count: int) -> None:
    if len(found) and (int(found.min()) < 0 or int(found.max()) >= count):
        raise Untrusted(f"a tree of it has the {what} {int(found.max())} of {count}")
