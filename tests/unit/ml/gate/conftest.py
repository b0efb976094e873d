"""The rows that the tests of the gate share."""

from __future__ import annotations

import pandas as pd
import pytest

from ml.data import generated


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return generated.generate(1000, 42)
