"""Which rows a version was trained on: a hash of each, kept with its run, so that no later run judges it by them. Pure.

Data grows, and the split's seed puts rows of an old training part into a new test part. A row is known by its features
and its target, wherever it stands in the table and in whatever order the columns are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FILE = "learned_rows.parquet"
"""What a run keeps: eight bytes for each row that was learned from. It stays when the run's tables are cleared away."""
_MISSING = "\0missing"


def hashes(features: pd.DataFrame, target: Any) -> np.ndarray:
    """A hash of each row, uint64 of shape (n_rows,), which the same content has in every run and on every machine.

    The features are what is learned from (`features.features_of`), of shape (n_rows, n_features), columns in any order;
    the target is 0 or 1, of shape (n_rows,).
    """
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {name: _plain(features[name]) for name in sorted(features.columns)}
    columns["\0target"] = np.asarray(target, dtype="float64")
    row_hashes: np.ndarray = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False).to_numpy()
    return row_hashes


def _plain(values: pd.Series) -> Any:
    """The values in one spelling: minus zero is zero, every missing number the same, text as plain objects."""
    import numpy as np
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(values.dtype):
        numbers = values.to_numpy(dtype="float64", na_value=np.nan) + 0.0
        return np.where(np.isnan(numbers), np.nan, numbers)
    return values.astype(object).where(values.notna(), _MISSING).to_numpy()


def table(features: pd.DataFrame, target: Any) -> pd.DataFrame:
    """What is kept of a training part: the `hashes` of its rows."""
    import pandas as pd

    return pd.DataFrame({"row": hashes(features, target)})


def only_theirs(held_out: np.ndarray, theirs: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Which held-out rows another version was trained on and this one was not, so that they favour the other.

    A row whose content both learned favours neither. Where few different rows are possible that is nearly every row,
    and where the same data is trained on again it is every repeated one. All rows come as their hashes; the answer is
    a truth for each held-out one, shape (n_rows,).
    """
    import pandas as pd

    # By a table of hashes, which is twenty times faster than numpy's sorting.
    rows = pd.Series(held_out)
    is_theirs: np.ndarray = (rows.isin(theirs) & ~rows.isin(ours)).to_numpy()
    return is_theirs
