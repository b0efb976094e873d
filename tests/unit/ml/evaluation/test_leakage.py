"""One test for a column that gives the target away, with one threshold for all who ask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.config.schema import PipelineConfig
from ml.evaluation import leakage
from ml.evaluation.leakage import LEAK_AUC, alone

ROWS = 400
RNG = np.random.default_rng(8)
POSITIVE = RNG.random(ROWS) < 0.3
GAPS = RNG.random(ROWS) < 0.2


def with_gaps(values: Any) -> pd.Series:
    return pd.Series(values).mask(GAPS)


LEAKS = {
    "number": pd.Series(POSITIVE * 5.0 + RNG.random(ROWS)),
    "number the other way": pd.Series(POSITIVE * -5.0 + RNG.random(ROWS)),
    "truth": pd.Series(POSITIVE),
    "category": pd.Series(np.where(POSITIVE, "billed", "free")),
    "many categories": pd.Series(np.where(POSITIVE, "b", "f")) + pd.Series(np.arange(ROWS) % 7).astype(str),
    "whether there is one": pd.Series(np.where(POSITIVE, "2026-01-31", None)),
    "whether there is none": pd.Series(np.where(POSITIVE, np.nan, RNG.random(ROWS))),
}
HONEST = {
    "number with gaps": with_gaps(POSITIVE * 5.0 + RNG.random(ROWS)),
    "nullable number": with_gaps(POSITIVE * 5).astype("Int64"),
    "nullable truth": with_gaps(POSITIVE).astype("boolean"),
    "category with gaps": with_gaps(np.where(POSITIVE, "billed", "free")),
    "noise": pd.Series(RNG.random(ROWS)),
    "good number": pd.Series(POSITIVE + RNG.normal(size=ROWS)),
    "good category": pd.Series(np.where(POSITIVE ^ (RNG.random(ROWS) < 0.1), "y", "n")),
    "a text for each row": pd.Series([f"text {i}" for i in range(ROWS)]),
    "a text for two rows": pd.Series([f"text {i // 2}" for i in range(ROWS)]),
    "nothing": pd.Series([None] * ROWS),
    "constant": pd.Series(["x"] * ROWS),
    "nine rows of a class": pd.Series(np.where(POSITIVE.cumsum() < 10, POSITIVE * 1.0, np.nan)),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_leak_is_one_in_whichever_form(kind: str) -> None:
    assert alone(LEAKS[kind], POSITIVE) > LEAK_AUC


@pytest.mark.parametrize("kind", HONEST)
def test_what_is_good_by_skill_or_by_chance_is_none(kind: str) -> None:
    assert 0.5 <= alone(HONEST[kind], POSITIVE) < 0.98


def test_rows_in_order_of_their_target_change_nothing() -> None:
    order = np.argsort(POSITIVE, kind="stable")

    for values in LEAKS.values():
        assert alone(values.iloc[order], POSITIVE[order]) > LEAK_AUC


def test_the_gates_default_is_the_one_threshold() -> None:
    assert PipelineConfig().promotion.gate.leak == leakage.LEAK_AUC
