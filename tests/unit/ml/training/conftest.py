"""A small table with columns of every kind, and its configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ml.config.loading import parse_config
from ml.config.schema import PipelineConfig


def mixed(rows: int = 60) -> pd.DataFrame:
    """Columns of every kind, some of whose values are missing."""
    return pd.DataFrame(
        {
            "amount": np.linspace(0, 1, rows),
            "city": ["Rome", "Ulm", None] * (rows // 3),
            "code": [1.0, 2.0, np.nan] * (rows // 3),
            "flag": [True, False] * (rows // 2),
            "when": pd.date_range("2020", periods=rows).astype(str),
            "bought": ["no", "yes"] * (rows // 2),
        }
    )


def config(schema: dict[str, Any] | None = None, **sections: Any) -> PipelineConfig:
    """What is configured for these columns."""
    data = {"target": "bought", "drop": ["when"], **sections.pop("data", {})}
    return parse_config({"data": data, "schema": schema or {}, **sections})
