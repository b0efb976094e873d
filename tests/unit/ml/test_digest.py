"""The digest of a data set: every value counts, and where the table has been does not."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ml.data import generated
from ml.digest import LENGTH, digest_of, is_whole

ROWS = 30_000


def back(frame: pd.DataFrame) -> pd.DataFrame:
    """What Parquet gives back of a table, as the bucket does."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return pd.read_parquet(io.BytesIO(buffer.getvalue()))


KINDS: dict[str, Any] = {
    "truths": [True, None, False],
    "texts": ["x", None, "é"],
    "numbers": [1.5, None, 2],
    "nullable": pd.array([1, None, 3], dtype="Int64"),
    "nullable_float": pd.array([1.5, None, 3], dtype="Float64"),
    "nullable_text": pd.array(["a", None, "b"], dtype="string"),
    "categories": pd.Series(["a", "b", None], dtype="category"),
    "times": pd.to_datetime(["2020-01-01", None, "2021-05-05"]),
    "fine_times": pd.to_datetime(["2020-01-01 00:00:00.123456789"] * 3),
    "zoned": pd.to_datetime(["2020-01-01"] * 3).tz_localize("Europe/Berlin"),
    "far_times": np.array(["2020-01-01", "9999-12-31", "0001-01-01"], dtype="datetime64[s]"),
    "days": [dt.date(2020, 1, 1), None, dt.date(2021, 1, 1)],
    "spans": pd.to_timedelta([1, 2, 3], unit="s"),
    "decimals": [Decimal("1.10"), None, Decimal(2)],
    "nothing": [None, None, None],
    "no_number": [np.nan, np.nan, np.nan],
    "bytes": [b"a", b"\xff", None],
    "small": np.array([1, 2, 3], dtype="int8"),
    "large": np.array([2**63, 2**64 - 1, 0], dtype="uint64"),
    "single": np.array([0.1, np.nan, 3], dtype="float32"),
    "arrow": pd.array(["x", None, "y"], dtype=pd.ArrowDtype(pa.string())),
    "lists": [[1, 2], None, [3]],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_has_the_digest_of_what_parquet_gives_back(kind: str) -> None:
    frame = pd.DataFrame({kind: KINDS[kind]})

    assert digest_of(frame) == digest_of(back(frame))
    assert len(digest_of(frame)) == LENGTH


def test_every_kind_of_column_has_a_digest_of_its_own() -> None:
    digests = [digest_of(pd.DataFrame({"x": values})) for values in KINDS.values()]

    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("row", [0, 10_000, ROWS - 1])
@pytest.mark.parametrize("column", list(generated.generate(20, 1).columns))
def test_one_cell_anywhere_is_another_digest(column: str, row: int) -> None:
    frame = generated.generate(ROWS, 1)
    changed = frame.copy()
    old = frame.loc[row, column]
    changed.loc[row, column] = f"{old}." if isinstance(old, str) else old + 1

    assert digest_of(frame) != digest_of(changed)


def _changed(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": ["ab", "c", ""], "b": [1, 2, 3], **columns})


@pytest.mark.parametrize(
    "other",
    [
        _changed(a=["a", "bc", ""]),
        _changed(a=["ab", "c", None]),
        _changed(b=[1.0, 2.0, 3.0]),
        _changed(b=["1", "2", "3"]),
        _changed(b=[1, 2, None]),
        _changed(c=[None, None, None]),
        _changed().iloc[[1, 0, 2]],
        _changed().iloc[:2],
        _changed()[["b", "a"]],
        _changed().rename(columns={"a": "A"}),
        _changed().rename(columns={"a": "b", "b": "a"}),
    ],
    ids=["borders", "missing", "float", "text", "gap", "column", "order", "rows", "columns", "name", "names"],
)
def test_whatever_is_other_data_has_another_digest(other: pd.DataFrame) -> None:
    assert digest_of(other) != digest_of(_changed())


def test_the_index_and_the_width_of_a_number_are_not_the_data() -> None:
    same = _changed().set_axis([7, 8, 9])

    assert digest_of(same) == digest_of(_changed(b=np.array([1, 2, 3], dtype="int8"))) == digest_of(_changed())
    assert digest_of(_changed().iloc[1:]) == digest_of(_changed().iloc[1:].reset_index(drop=True))


def test_a_digest_never_changes() -> None:
    # Recorded digests must stay true, whatever pandas and pyarrow are.
    frame = _changed(t=pd.to_datetime(["2020-01-01"] * 3), n=[None, 1.5, 2])

    assert digest_of(frame) == "5cb368509e04a9c9e87eb6cf9351536a"


def test_an_old_digest_tells_the_whole_of_few_rows_alone() -> None:
    assert is_whole("0" * LENGTH, "2000000")
    assert is_whole("1a2b3c4d", "10000")
    assert not is_whole("1a2b3c4d", "10001")
    assert not is_whole("1a2b3c4d", "")
    assert not is_whole("", "5")
