"""Training a version again from what was recorded, and comparing the two bit by bit. Effects: reads from S3.

The same functions as in the steps read, check, split and fit. One thread does the arithmetic, as in the worker: the
order in which a sum is added up changes its last bits.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml.digest import LENGTH, digest_of
from ml.errors import UnreadableData
from ml.values import Column

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ml.config.schema import PipelineConfig
    from ml.data.store import Store


@dataclass(frozen=True)
class Likeness:
    """How a version that was trained again compares with the one that was registered.

    Attributes:
        identical: Whether every number is the same, bit by bit.
        compared: What was compared: `coefficients`, or `predictions` of an estimator without any; `count` numbers.
        largest: The largest difference.
    """

    identical: bool
    compared: str
    count: int
    largest: float
    source: str


def again(store: Store, key: str, registered: Any, data_digest: str) -> Likeness:
    """Trains the version of the run with a key again, and compares it with the registered Pipeline.

    `data_digest` is what was recorded of its data, empty when nothing was.

    Raises:
        UnreadableData: The configuration or the data of the run is gone, or the data is not the same any more.
    """
    from threadpoolctl import threadpool_limits

    from ml.config import loading as configuration
    from ml.training import features as preprocess
    from ml.training.pipeline import build_pipeline

    config = configuration.parse_config(store.read_json(f"runs/{key}/config.json"))
    frame, columns, source = _data(store, key, config)
    digest = digest_of(frame) if len(data_digest) == LENGTH else _mlflow_digest(frame, config.data.target)
    if data_digest and digest != data_digest:
        raise UnreadableData(f"the data of {source} has digest {digest}, and the version was trained on {data_digest}")
    roles = preprocess.decide_roles(frame, config, columns)
    train, _ = preprocess.split_rows(frame, config)
    features = preprocess.features_of(frame.iloc[train], roles)
    target = preprocess.target_of(frame.iloc[train], roles)
    with threadpool_limits(1):
        fitted = build_pipeline(config, roles).fit(features, target)
        ours, theirs, what = _numbers(fitted, registered, features)
    same = ours.shape == theirs.shape
    largest = float(abs(ours - theirs).max()) if same and ours.size else 0.0 if same else float("inf")
    return Likeness(same and ours.tobytes() == theirs.tobytes(), what, int(ours.size), largest, source)


def _mlflow_digest(frame: pd.DataFrame, target: str) -> str:
    """The digest that MLflow gives a table, which is what runs recorded before there was one of the whole data set."""
    import warnings

    import mlflow.data

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        dataset = mlflow.data.from_pandas(  # type: ignore[attr-defined]
            frame, targets=target if target in frame.columns else None
        )
    return str(dataset.digest)


def _data(store: Store, key: str, config: PipelineConfig) -> tuple[pd.DataFrame, dict[str, Column] | None, str]:
    """The rows that the run kept; once those are cleared away, its source read again."""
    from ml.data import sources
    from ml.reading import contract
    from ml.reading.columns import columns_of
    from ml.settings import allowed_sources

    snapshot, kept = f"runs/{key}/raw.parquet", f"runs/{key}/columns.json"
    if store.exists(snapshot):
        readings = store.read_json(kept)["columns"] if store.exists(kept) else {}
        columns = {name: Column.of(name, each) for name, each in readings.items()}
        return store.read_parquet(snapshot), columns or None, "the run's snapshot"
    raw, source = sources.read(config, store, allowed_sources(os.environ).hosts)
    columns = columns_of(raw.frame, config, raw.commas)
    return contract.check(raw.frame, config, source, columns, raw.commas), columns, source


def _numbers(fitted: Any, registered: Any, features: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, str]:
    import numpy as np

    if hasattr(fitted[-1], "coef_") and hasattr(registered[-1], "coef_"):
        pairs = [np.concatenate([each[-1].coef_.ravel(), each[-1].intercept_.ravel()]) for each in (fitted, registered)]
        return pairs[0], pairs[1], "coefficients"
    return fitted.predict_proba(features)[:, 1], registered.predict_proba(features)[:, 1], "predictions"
