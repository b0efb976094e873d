"""From the bytes of a CSV or Parquet file to a table, or one clear line about why not. Pure."""

from __future__ import annotations

import csv
import io
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ml.errors import ContractViolation, UnreadableData

if TYPE_CHECKING:
    import pandas as pd

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_table(content: bytes, name: str, max_bytes: int, max_rows: int) -> pd.DataFrame:
    """Reads a table from the content of a file.

    Args:
        content: The whole file: UTF-8 CSV with a header (a byte order mark and gzip are fine), or Parquet.
        name: What to call it in messages.
        max_bytes: The most bytes, also when unpacked.
        max_rows: The most rows.

    Returns:
        One row per record, columns as in the header.

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
    frame = _parquet(content, name, max_rows) if content.startswith(_PARQUET) else _csv(content, name)
    if frame.empty:
        raise ContractViolation(f"{name} has a header and no rows: it needs at least 20")
    if len(frame) > max_rows:
        raise UnreadableData(f"{name} has {len(frame):,} rows, and data.max_rows allows {max_rows:,}")
    return frame


def _unpack(content: bytes, name: str, max_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(content, max_bytes + 1)
    except zlib.error as error:
        raise UnreadableData(f"{name} looks like gzip and cannot be unpacked ({error})") from error
    if len(found) > max_bytes:
        raise UnreadableData(f"{name} unpacks to more than the {max_bytes:,} bytes that data.max_bytes allows")
    if not unpacker.eof:
        raise UnreadableData(f"{name} ends in the middle of its gzip data: send it again")
    return found


def _parquet(content: bytes, name: str, max_rows: int) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        if file.metadata.num_rows > max_rows:
            raise UnreadableData(f"{name} has {file.metadata.num_rows:,} rows, and data.max_rows allows {max_rows:,}")
        _refuse_twice(file.schema_arrow.names, name)
        return file.read().to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadableData(f"{name} looks like Parquet and cannot be read ({_one_line(error)})") from error


def _csv(content: bytes, name: str) -> pd.DataFrame:
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
        raise UnreadableData(f"{name} is not UTF-8: byte {content[error.start]:#04x} in line {line}: save it as UTF-8") from error
    header = next(csv.reader(io.StringIO(text.lstrip("\r\n"))), [])
    _refuse_twice(header, name)
    try:
        return pd.read_csv(io.StringIO(text), on_bad_lines="error", index_col=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise UnreadableData(f"{name} is not a proper CSV file: {_one_line(error)}") from error


def _refuse_twice(columns: list[str], name: str) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise ContractViolation(f"{name}: column {', '.join(map(repr, twice))} is there twice: rename or remove one")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text.removeprefix("Error tokenizing data. C error: ")[:200]
