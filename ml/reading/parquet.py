"""Parquet files as tables of plain columns, whoever wrote them: pandas, Polars, DuckDB, pyarrow. Pure.

What pandas notes beside its columns is not heard: it says how pandas would like to hold them, and fails on a machine
without the same types. A file is decoded in bounded pieces, since what is stored once may be meant for a million rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml.errors import TooManyRows, UnreadableData, one_line
from ml.reading.csv_dialect import refuse_twice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

_BATCH_ROWS = 8192
_ROW_NUMBERS = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class ParquetTable:
    """The columns of a file that can be read as values, and a line for each that cannot."""

    data: pa.Table
    notes: tuple[str, ...] = ()


def read(content: bytes, name: str, max_bytes: int, max_rows: int) -> ParquetTable:
    """Reads the content of a file, whose cells may have `max_bytes` together, as plain columns.

    Those are of text, whole numbers, floats, truths, decimals and moments; row numbers of pandas' are passed over.

    Raises:
        UnreadableData: It is no Parquet file, too large (`TooManyRows`), or a column holds lists or records.
        ContractViolation: A column is there twice.
    """
    import pyarrow as pa

    try:
        file = _opened(pa.BufferReader(content))
        if file.metadata.num_rows > max_rows:
            raise TooManyRows(f"{name} has {file.metadata.num_rows:,} rows, and data.max_rows allows {max_rows:,}")
        _check_schema(file, name)
        data = pa.Table.from_batches(list(_within(file, name, max_bytes)), schema=file.schema_arrow)
        return plain_columns(data)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise UnreadableData(f"{name} looks like Parquet and cannot be read ({one_line(error, 200)})") from error


def batches(path: Path, rows: int) -> Iterator[pa.Table]:
    """The rows of a file some at a time, with the types that they have there; raises what `read` does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pa.OSFile(str(path)) as handle:
            file = pq.ParquetFile(handle)
            _check_schema(file, path.name)
            for batch in file.iter_batches(batch_size=rows):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(None)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableData(f"{path} looks like Parquet and cannot be read ({one_line(error, limit=None)})") from error


def _opened(source: Any) -> ParquetFile:
    """The file, with its texts and bytes left in their dictionaries, in which one of any size stands once."""
    import pyarrow.parquet as pq

    schema = pq.ParquetFile(source).schema_arrow
    return pq.ParquetFile(source, read_dictionary=[field.name for field in schema if _has_any_size(field.type)])


def _has_any_size(kind: pa.DataType) -> bool:
    """Whether a single value of a type may have any number of bytes."""
    import pyarrow as pa

    texts = (pa.string(), pa.large_string(), pa.string_view())
    return kind in (*texts, pa.binary(), pa.large_binary(), pa.binary_view())


def _check_schema(file: ParquetFile, name: str) -> None:
    """Refuses what is no flat table."""
    import pyarrow as pa

    refuse_twice(file.schema_arrow.names, name)
    nested = [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]
    if nested:
        raise UnreadableData(f"{name}: column {nested[0]!r} holds lists or records: give each value its own column")


def _within(file: ParquetFile, name: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    too_large = UnreadableData(f"{name} unpacks to more than the {max_bytes:,} bytes that data.max_bytes allows")
    announced = sum(file.metadata.row_group(at).total_byte_size for at in range(file.metadata.num_row_groups))
    if not 0 <= announced <= max_bytes:
        raise too_large
    size = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS):
        size += sum(_dense_size(column) for column in batch.columns)
        if size > max_bytes:
            raise too_large
        yield batch


def _dense_size(column: pa.Array) -> int:
    """The bytes of a column's cells, each text counted as often as it stands."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    values = column.dictionary
    if not _has_any_size(values.type):
        return 8 * len(column)
    lengths = pc.binary_length(values).cast(pa.int64())
    return 8 * len(column) + int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def plain_columns(table: pa.Table) -> ParquetTable:
    """The columns that can be read as values, each in the plainest type that keeps them exactly."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    notes = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if _ROW_NUMBERS.fullmatch(name):
            continue
        plain = _plain(column)
        if plain is None:
            kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            notes.append(f"column {name!r} holds {kind} and is left out: nothing can be learned from it as it is")
        elif name.strip():
            columns[name] = plain
        else:
            notes.append("a column has no name and is left out: name it to use it")
    return ParquetTable(pa.table(columns), tuple(notes))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        # Bytes stay where they are: there may be more of them than memory holds.
        return None if pa.types.is_binary(kind.value_type) else _plain(column.cast(kind.value_type))
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            texts = [None if value is None else str(value) for value in column.to_pylist()]
            return pa.chunked_array([pa.array(texts, pa.large_string())])
        return _plain(pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type))
    if kind in (pa.null(), pa.string(), pa.large_string(), pa.string_view()):
        return column.cast(pa.large_string())
    if pa.types.is_floating(kind):
        return column.cast(pa.float64())
    kept = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    is_moment = pa.types.is_temporal(kind) and not pa.types.is_interval(kind)
    return column if kept or is_moment else None


def frame_of(table: pa.Table) -> pd.DataFrame:
    """A table of plain columns as pandas holds it: whole numbers with gaps stay whole, decimals and moments exact."""
    import pandas as pd

    columns = {name: _series(table[name]) for name in table.column_names}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)))


def _series(column: pa.ChunkedArray) -> pd.Series:
    import pandas as pd
    import pyarrow as pa

    kind = column.type
    if column.null_count and pa.types.is_boolean(kind):
        return pd.Series(column.to_pylist(), dtype="boolean")
    if column.null_count and pa.types.is_integer(kind):
        # pandas' own kind of it: UInt8 for uint8, Int64 for int64.
        nullable = pd.api.types.pandas_dtype(str(kind).replace("i", "I").replace("u", "U"))
        return pd.Series(column.to_pandas(types_mapper={kind: nullable}.get))
    if pa.types.is_decimal(kind) or pa.types.is_temporal(kind):
        return pd.Series(column.to_pandas(types_mapper=pd.ArrowDtype))
    return pd.Series(column.to_pandas())
