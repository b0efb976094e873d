"""Parquet files that are read some rows at a time; `test_tables` has those that are read whole."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.errors import ContractViolation, UnreadableData
from ml.reading.parquet import batches


def test_rows_come_some_at_a_time_with_their_types(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    frame = pd.DataFrame({"a": range(5), "b": list("vwxyz")})
    frame.to_parquet(path)

    pieces = list(batches(path, 2))

    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert pd.concat([piece.to_pandas() for piece in pieces], ignore_index=True).equals(frame)
    assert pieces[0].schema.metadata is None


def test_a_file_that_cannot_be_read_is_told_with_its_place_and_why(tmp_path: Path) -> None:
    broken, nested, twice = (tmp_path / f"{name}.parquet" for name in ("broken", "nested", "twice"))
    broken.write_bytes(b"PAR1 and no more")
    pd.DataFrame({"a": [[1], [2]]}).to_parquet(nested)
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), twice)

    with pytest.raises(UnreadableData, match=r"broken\.parquet looks like Parquet and cannot be read \(Parquet magic"):
        list(batches(broken, 2))
    with pytest.raises(UnreadableData, match=r"^nested\.parquet: column 'a' holds lists or records"):
        list(batches(nested, 2))
    with pytest.raises(ContractViolation, match=r"^twice\.parquet: column 'a' is there twice"):
        list(batches(twice, 2))
    with pytest.raises(UnreadableData, match=r"nowhere\.parquet .*No such file"):
        list(batches(tmp_path / "nowhere.parquet", 2))
