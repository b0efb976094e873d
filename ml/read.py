"""From the bytes of a CSV or Parquet file to a table, or one clear line about why not. Pure."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ml.dialect import Dialect, find_dialect, with_decimal_commas
from ml.errors import ContractViolation, UnreadableData

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_BATCH_ROWS = 8192


AUTO = Dialect("auto")
"""Find out what separates the cells."""


def read_table(content: bytes, name: str, max_bytes: int, max_rows: int, dialect: Dialect = AUTO) -> pd.DataFrame:
    """Reads a table from the content of a file; `read_described` says more."""
    return read_described(content, name, max_bytes, max_rows, dialect)[0]


def read_described(
    content: bytes, name: str, max_bytes: int, max_rows: int, dialect: Dialect = AUTO
) -> tuple[pd.DataFrame, Dialect | None]:
    """Reads a table from the content of a file, and tells how the file is written.

    Args:
        content: The whole file: UTF-8 CSV with a header (a byte order mark and gzip are fine), or Parquet.
        name: What to call it in messages.
        max_bytes: The most bytes, also when unpacked.
        max_rows: The most rows.
        dialect: How a CSV is written; its delimiter may be `auto`.

    Returns:
        One row per record, columns as in the header, the index counting from 0; and the dialect, None for Parquet.

    Raises:
        UnreadableData: The content is empty, too large, or not such a file.
        ContractViolation: A column is there twice, or there are no rows.
    """
    name = PurePosixPath(name).name or name
    if content.startswith(_GZIP):
        content = _unpack(content, name, max_bytes)
    if len(content) > max_bytes:
        raise UnreadableData(f"{name} has {len(content):,} bytes, and data.max_bytes allows {max_bytes:,}")
    if not content.strip():
        raise UnreadableData(f"{name} is empty: it needs a header and rows")
    found: Dialect | None = None
    if content.startswith(_PARQUET):
        frame = _parquet(content, name, max_bytes, max_rows)
    else:
        frame, found = _csv(content, name, dialect)
    if frame.empty:
        raise ContractViolation(f"{name} has a header and no rows: it needs at least 20")
    if len(frame) > max_rows:
        raise UnreadableData(f"{name} has {len(frame):,} rows, and data.max_rows allows {max_rows:,}")
    return frame, found


def read_parts(parts: Mapping[str, bytes], name: str, max_bytes: int, max_rows: int) -> pd.DataFrame:
    """Reads a folder of Parquet files as one table, in the order of their names.

    Args:
        parts: The files' content by their path below the folder; `key=value` folders on the way become columns.
        name: What to call the folder in messages.
        max_bytes: The most bytes of all together, also when unpacked.
        max_rows: The most rows of all together.

    Raises:
        UnreadableData: A file cannot be read, or all together are too large.
        ContractViolation: Two files have different columns, or there are no rows.
    """
    import pandas as pd

    frames: list[pd.DataFrame] = []
    for path in sorted(parts):
        content = parts[path]
        if not content.startswith(_PARQUET):
            raise UnreadableData(f"{name}: {path} is not Parquet: a folder may hold Parquet files only")
        left = max_rows - sum(map(len, frames))
        frame = _parquet(content, f"{name}/{path}", max_bytes, left).assign(**_partition(path))
        if frames and set(frame.columns) != set(frames[0].columns):
            odd = sorted(set(frame.columns) ^ set(frames[0].columns))
            raise ContractViolation(f"{name}: {path} differs from the first file in {', '.join(map(repr, odd[:5]))}")
        frames.append(frame)
        if sum(int(each.memory_usage().sum()) for each in frames) > max_bytes:
            raise UnreadableData(f"{name} unpacks to more than the {max_bytes:,} bytes that data.max_bytes allows")
    if not frames or not sum(map(len, frames)):
        raise ContractViolation(f"{name} has no rows: it needs at least 20 in its .parquet files")
    return pd.concat(frames, ignore_index=True)


def _partition(path: str) -> dict[str, str | int]:
    """The columns that Hive-style folders stand for: `country=CH/part-0.parquet` is `{"country": "CH"}`."""
    pairs = [folder.partition("=") for folder in path.split("/")[:-1] if "=" in folder]
    values = {key: unquote(value) for key, _, value in pairs}
    return {key: int(value) if value.isascii() and value.isdecimal() else value for key, value in values.items()}


def _unpack(content: bytes, name: str, max_bytes: int) -> bytes:
    found = bytearray()
    # A gzip file may have several members, one after the other; all of them are the file.
    while content:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            found += unpacker.decompress(content, max_bytes + 1 - len(found))
        except zlib.error as error:
            raise UnreadableData(f"{name} looks like gzip and cannot be unpacked ({error})") from error
        if len(found) > max_bytes:
            raise UnreadableData(f"{name} unpacks to more than the {max_bytes:,} bytes that data.max_bytes allows")
        if not unpacker.eof:
            raise UnreadableData(f"{name} ends in the middle of its gzip data: send it again")
        content = unpacker.unused_data
    return bytes(found)


def _parquet(content: bytes, name: str, max_bytes: int, max_rows: int) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        if file.metadata.num_rows > max_rows:
            raise UnreadableData(f"{name} has {file.metadata.num_rows:,} rows, and data.max_rows allows {max_rows:,}")
        _refuse_twice(file.schema_arrow.names, name)
        nested = [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]
        if nested:
            raise UnreadableData(f"{name}: column {nested[0]!r} holds lists or records: give each value its own column")
        frame: pd.DataFrame = _read_within(file, name, max_bytes).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadableData(f"{name} looks like Parquet and cannot be read ({_one_line(error)})") from error
    # What pandas wrote as a named index is a column to us; an index without a name is a row number.
    frame = frame.reset_index(drop=frame.index.names == [None])
    frame.columns = frame.columns.astype(str)
    return frame


def _read_within(file: ParquetFile, name: str, max_bytes: int) -> pa.Table:
    """Reads piece by piece, since what is stored once may be meant for a million rows."""
    import pyarrow as pa

    batches, size = [], 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS):
        size += batch.nbytes
        if size > max_bytes:
            raise UnreadableData(f"{name} unpacks to more than the {max_bytes:,} bytes that data.max_bytes allows")
        batches.append(batch)
    return pa.Table.from_batches(batches, schema=file.schema_arrow)


def _csv(content: bytes, name: str, dialect: Dialect) -> tuple[pd.DataFrame, Dialect]:
    import pandas as pd

    if content.startswith(_WIDE_MARKS):
        raise UnreadableData(f"{name} is UTF-16: save it as UTF-8")
    if b"\0" in content:
        at = content[: content.index(b"\0")].count(b"\n") + 1
        raise UnreadableData(f"{name} has a NUL byte in line {at}: it is no UTF-8 text")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        found = f"byte {content[error.start]:#04x} in line {line}"
        raise UnreadableData(f"{name} is not UTF-8: {found}: save it as UTF-8") from error
    written = find_dialect(text, name, dialect.delimiter, dialect.decimal)
    try:
        header = next(
            (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=written.delimiter) if row), []
        )
        _refuse_twice(header, name)
        frame = pd.read_csv(io.StringIO(text), sep=written.delimiter, on_bad_lines="error")
    except (csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise UnreadableData(f"{name} is not a proper CSV file: {_one_line(error)}") from error
    # pandas takes the first columns for an index where every row is longer than the header.
    longer = not isinstance(frame.index, pd.RangeIndex)
    # A row that is too short has nothing in the last column; only then is it worth to look at each row again.
    if longer or (len(frame) and frame.iloc[:, -1].isna().any()):
        _refuse_ragged(text, len(header), name, written.delimiter)
    plain = with_decimal_commas(frame, written)
    return plain, Dialect(written.delimiter, "." if plain is frame or plain.dtypes.equals(frame.dtypes) else ",")


def _refuse_ragged(text: str, width: int, name: str, delimiter: str) -> None:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    for row in rows:
        if row and len(row) != width:
            raise UnreadableData(
                f"{name} is not a proper CSV file: line {rows.line_num} has {len(row)} fields and the header {width}"
            )


def _refuse_twice(columns: list[str], name: str) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise ContractViolation(f"{name}: column {', '.join(map(repr, twice))} is there twice: rename or remove one")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text.removeprefix("Error tokenizing data. C error: ")[:200]
