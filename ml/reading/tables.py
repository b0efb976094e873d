"""From the bytes of a CSV or Parquet file to a table as it stands there, or one clear line about why not. Pure.

A CSV's cells are texts, and a Parquet file's columns have its types; `ml.reading.columns` says what they mean.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ml.errors import ContractViolation, TooManyRows, UnreadableData, one_line
from ml.reading.csv_dialect import AUTO, CsvRows, Dialect, find_dialect

if TYPE_CHECKING:
    import pandas as pd

_GZIP, PARQUET_MARK = b"\x1f\x8b", b"PAR1"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CHUNK_ROWS = 50_000
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class RawTable:
    """A table as a file has it.

    Attributes:
        frame: One row per record, columns as in the header, the index counting from 0.
        dialect: How a CSV is written; None for Parquet.
        notes: What was left out of it, and why, a line each.
    """

    frame: pd.DataFrame
    dialect: Dialect | None = None
    notes: tuple[str, ...] = ()

    @property
    def commas(self) -> bool:
        """Whether a number in a text may have a decimal comma."""
        return self.dialect is not None and self.dialect.commas


def read_table(content: bytes, name: str, max_bytes: int, max_rows: int, dialect: Dialect = AUTO) -> RawTable:
    """Reads a table from the content of a file: UTF-8 CSV with a header, or Parquet.

    A byte order mark and gzip are fine. The limits are of what is unpacked; `name` is what messages call the file.

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
    if content.startswith(PARQUET_MARK):
        from ml.reading import parquet

        table = parquet.read(content, name, max_bytes, max_rows)
        raw = RawTable(parquet.frame_of(table.data), None, table.notes)
    else:
        raw = _csv(content, name, max_rows, dialect)
    if raw.frame.empty:
        raise ContractViolation(f"{name} has a header and no rows: it needs at least 20")
    return raw


def read_parts(parts: Mapping[str, bytes], name: str, max_bytes: int, max_rows: int) -> RawTable:
    """Reads a folder of Parquet files, by their path below it, as one table in the order of their names.

    `key=value` folders on the way become columns of text, whose type the whole column decides like any other's. The
    limits are of all files together.

    Raises:
        UnreadableData: A file cannot be read, or all together are too large.
        ContractViolation: Two files have different columns, or there are no rows.
    """
    import pyarrow as pa

    from ml.reading import parquet

    tables: list[pa.Table] = []
    notes: dict[str, None] = {}
    rows, size = 0, 0
    for path in sorted(parts):
        if not parts[path].startswith(PARQUET_MARK):
            raise UnreadableData(f"{name}: {path} is not Parquet: a folder may hold Parquet files only")
        read = parquet.read(parts[path], f"{name}/{path}", max_bytes - size, max_rows - rows)
        table = read.data
        for key, value in partition_of(path).items():
            table = table.append_column(key, pa.array([value] * len(table), pa.string()))
        odd = sorted(set(table.column_names) ^ set(tables[0].column_names)) if tables else []
        if odd:
            raise ContractViolation(f"{name}: {path} differs from the first file in {', '.join(map(repr, odd[:5]))}")
        tables.append(table)
        notes |= dict.fromkeys(read.notes)
        rows, size = rows + len(table), size + table.nbytes
        if size > max_bytes:
            raise UnreadableData(f"{name} unpacks to more than the {max_bytes:,} bytes that data.max_bytes allows")
    if not rows:
        raise ContractViolation(f"{name} has no rows: it needs at least 20 in its .parquet files")
    try:
        whole = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise ContractViolation(f"{name}: its files do not fit together ({one_line(error, 200)})") from error
    return RawTable(parquet.frame_of(whole), None, tuple(notes))


def partition_of(path: str) -> dict[str, str | None]:
    """The columns that Hive-style folders stand for: `country=CH/part-0.parquet` is `{"country": "CH"}`."""
    pairs = [folder.partition("=") for folder in path.split("/")[:-1] if "=" in folder]
    return {key: None if value == _HIVE_NULL else unquote(value) for key, _, value in pairs}


def _unpack(content: bytes, name: str, max_bytes: int) -> bytes:
    unpacked = bytearray()
    # A gzip file may have several members, one after the other; all of them are the file.
    while content:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            unpacked += unpacker.decompress(content, max_bytes + 1 - len(unpacked))
        except zlib.error as error:
            raise UnreadableData(f"{name} looks like gzip and cannot be unpacked ({error})") from error
        if len(unpacked) > max_bytes:
            raise UnreadableData(f"{name} unpacks to more than the {max_bytes:,} bytes that data.max_bytes allows")
        if not unpacker.eof:
            raise UnreadableData(f"{name} ends in the middle of its gzip data: send it again")
        content = unpacker.unused_data
    return bytes(unpacked)


def decoded(content: bytes, name: str) -> str:
    """The text of a CSV file; `UnreadableData` where it is none in UTF-8."""
    if content.startswith(_WIDE_MARKS):
        raise UnreadableData(f"{name} is UTF-16: save it as UTF-8")
    if b"\0" in content:
        line = content.partition(b"\0")[0].count(b"\n") + 1
        raise UnreadableData(f"{name} has a NUL byte in line {line}: it is no UTF-8 text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        where = f"byte {content[error.start]:#04x} in line {line}"
        raise UnreadableData(f"{name} is not UTF-8: {where}: save it as UTF-8") from error


def _csv(content: bytes, name: str, max_rows: int, wanted: Dialect) -> RawTable:
    import pandas as pd
    import pyarrow as pa

    text = decoded(content, name)
    dialect = find_dialect(text, name, wanted)
    rows = CsvRows(io.StringIO(text, newline=""), dialect, name)
    pieces: dict[int, list[pa.Array]] = {at: [] for at in rows.named}
    count = 0
    # Piece by piece into Arrow, which holds a text in a fifth of the memory that Python's own takes.
    for chunk in rows.chunks(_CHUNK_ROWS):
        count += len(chunk)
        if count > max_rows:
            raise TooManyRows(f"{name} has more than the {max_rows:,} rows that data.max_rows allows")
        cells = list(zip(*chunk, strict=True))
        for at, column in pieces.items():
            column.append(pa.array(cells[at], pa.large_string()))
    columns = {
        rows.header[at]: pd.Series(pa.chunked_array(column, pa.large_string()).to_pandas())
        for at, column in pieces.items()
    }
    return RawTable(pd.DataFrame(columns), dialect, tuple(rows.notes))
