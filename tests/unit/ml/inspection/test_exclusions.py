"""What `init` finds fishy in a column, and what it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.inspection.exclusions import why_not

ROWS = 200
RNG = np.random.default_rng(3)
POSITIVE = pd.Series(RNG.random(ROWS) < 0.3)


def told(name: str, values: Any, kind: str) -> str:
    return why_not(pd.Series(values, name=name), kind, POSITIVE)


@pytest.mark.parametrize(
    ("name", "values", "kind", "expected"),
    [
        ("country", ["CH"] * ROWS, "category", "constant"),
        ("nothing", [None] * ROWS, "category", "no value at all"),
        ("n", range(5, 5 + ROWS), "integer", "suspected id"),
        ("Customer ID", RNG.permutation(10 * ROWS)[:ROWS], "integer", "suspected id"),
        ("PassengerId", RNG.permutation(10 * ROWS)[:ROWS], "integer", "suspected id"),
        ("name", [f"name {i}" for i in range(ROWS)], "string", "suspected id"),
        ("comment", [f"text {i % 90}" for i in range(ROWS)], "string", "text with 90 different values"),
        ("when", ["2020-01-01", "2020-01-02"] * (ROWS // 2), "datetime", "a moment"),
        ("alive", np.where(POSITIVE, "yes", "no"), "category", "suspected leak"),
        ("score", np.where(POSITIVE, 1.0, -1.0) + RNG.random(ROWS), "number", "suspected leak"),
        ("inverse", np.where(POSITIVE, -1.0, 1.0) + RNG.random(ROWS), "number", "suspected leak"),
        ("flag", POSITIVE.to_numpy(), "boolean", "suspected leak"),
        ("cancelled on", np.where(POSITIVE, RNG.random(ROWS), np.nan), "number", "whether it is missing"),
    ],
)
def test_what_a_model_should_not_learn_from_is_told(name: str, values: Any, kind: str, expected: str) -> None:
    assert expected in told(name, values, kind)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("age", RNG.integers(18, 80, ROWS), "integer"),
        ("income", RNG.permutation(10 * ROWS)[:ROWS], "integer"),
        ("paid", RNG.random(ROWS), "number"),
        ("good", POSITIVE + RNG.normal(size=ROWS), "number"),
        ("plan", RNG.choice(["gold", "basic"], ROWS), "category"),
        ("gaps", np.where(RNG.random(ROWS) < 0.2, np.nan, RNG.random(ROWS)), "number"),
        ("few", [f"v{i % 45}" for i in range(ROWS)], "category"),
    ],
)
def test_an_ordinary_column_is_left_alone(name: str, values: Any, kind: str) -> None:
    assert told(name, values, kind) == ""
