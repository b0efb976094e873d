"""The digest of a data set: of every value in it, wherever it is computed. Pure.

MLflow's own digest looks at the first 10,000 rows and at how many there are: two files that differ further down are the
same data to it, and to everybody who compares runs by it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

LENGTH = 32
"""The hexadecimal digits of a digest; MLflow keeps 36 characters at most."""
MLFLOW_ROWS = 10_000
"""The rows that MLflow's own digest, which older runs have, looks at."""


def digest_of(frame: pd.DataFrame) -> str:
    """The digest of a table that can be written as Parquet: the first `LENGTH` hexadecimal digits of a sha256.

    Two tables have the same one exactly if they have the same columns in the same order, with the same types and the
    same values in every row. A table has the digest of what Parquet gives back of it: how many bits a number has, or by
    which of its types pandas holds a text, does not count; whether it is a number or a text does.
    """
    hashing = hashlib.sha256(f"rows {len(frame)}\n".encode())
    for name, column in frame.items():
        values = _plain(column)
        # JSON ends a name unmistakably, and the number of rows tells how many bytes follow.
        hashing.update(json.dumps([str(name), str(values.type)]).encode() + b"\n")
        for piece in _pieces(values):
            hashing.update(piece)
    return hashing.hexdigest()[:LENGTH]


def is_whole(digest: str, rows: str) -> bool:
    """Whether a recorded digest, of so many rows, tells the whole data set: ours, or MLflow's own of few rows."""
    return len(digest) == LENGTH or (bool(digest) and rows.isdigit() and int(rows) <= MLFLOW_ROWS)


def _plain(column: pd.Series[Any]) -> pa.Array:
    """The column as an array of one of few types: 64-bit numbers, truths, points in time, bytes, or text."""
    import pyarrow as pa

    array = pa.array(column, from_pandas=True)
    values = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    wanted = _type(values.type)
    if wanted is not None:
        with suppress(pa.ArrowInvalid):
            return values.cast(wanted)
    # Decimals, days, durations, lists, times finer than a microsecond: rare, and their text says all.
    return pa.array((None if value is None else str(value) for value in values.to_pylist()), pa.large_string())


def _type(kind: pa.DataType) -> pa.DataType | None:
    import pyarrow as pa

    types = pa.types
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    wanted = {
        pa.int64(): types.is_signed_integer,
        pa.uint64(): types.is_unsigned_integer,
        pa.float64(): types.is_floating,
        pa.uint8(): types.is_boolean,
        pa.large_string(): lambda each: (
            types.is_string(each) or types.is_large_string(each) or types.is_string_view(each)
        ),
        pa.large_binary(): lambda each: types.is_binary(each) or types.is_large_binary(each),
        pa.null(): types.is_null,
    }
    return next((ours for ours, is_one in wanted.items() if is_one(kind)), None)


def _pieces(values: pa.Array) -> Iterator[Any]:
    """The bytes of an array: which values are missing, and then all values, missing ones as nothing."""
    import numpy as np
    import pyarrow as pa

    missing = np.asarray(values.is_null(nan_is_null=pa.types.is_floating(values.type)))
    yield np.packbits(missing).tobytes()
    if pa.types.is_null(values.type):
        return
    if pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type):
        filled = values.fill_null("" if pa.types.is_large_string(values.type) else b"")
        ends = np.frombuffer(filled.buffers()[1], "<i8")[filled.offset : filled.offset + len(filled) + 1]
        yield np.diff(ends).tobytes()
        content = filled.buffers()[2]
        yield memoryview(content)[ends[0] : ends[-1]] if content is not None else b""
    else:
        counted = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
        numbers = counted.fill_null(0).to_numpy(zero_copy_only=False).copy()
        numbers[missing] = 0
        yield numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes()
