"""Score a whole file with a loaded model, piece by piece. Effects: reads one file and writes another.

What the model did not add stays as it was: a CSV's cells are copied as text, a Parquet file's columns keep their types.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ml.dialect import find_dialect, is_decimal_comma, to_number
from ml.errors import BadInput, UnreadableData
from ml.missing import MISSING_WORDS

if TYPE_CHECKING:
    import pandas as pd

    from ml.load import LoadedModel

CHUNK_ROWS = 20_000
ADDED = ("probability", "prediction", "model_version")
_PARQUET = b"PAR1"
_GZIP = b"\x1f\x8b"
_DECIMAL_COMMAS = "has_decimal_commas"
_TRUTHS = {"true": "1", "false": "0"}


def score_file(
    model: LoadedModel,
    source: Path,
    target: Path | IO[str],
    chunk_rows: int = CHUNK_ROWS,
    told: Callable[[int], None] = lambda rows: None,
) -> int:
    """Writes the rows of a file with `probability`, `prediction` (0 or 1) and `model_version` added.

    Args:
        model: The model.
        source: A CSV (UTF-8, also gzipped) or Parquet file.
        target: Where to write, `.parquet` as Parquet and anything else as CSV; or an open text file. A path shows the
            whole result at once or stays as it was.
        chunk_rows: How many rows are in memory at a time.
        told: Called after each piece with the number of rows that are scored.

    Returns:
        The number of rows.

    Raises:
        UnreadableData: The source cannot be read.
        BadInput: A column that the model needs is missing or is no number, or one of the added names is taken.
    """
    chunks = _counted(_scored(model, source, chunk_rows), told)
    if not isinstance(target, Path):
        return _write_csv(chunks, target)
    with _moved_into_place(target) as temporary:
        if target.suffix.lower() in (".parquet", ".pq"):
            return _write_parquet(chunks, temporary)
        with temporary.open("w", encoding="utf-8", newline="") as handle:
            return _write_csv(chunks, handle)


@contextmanager
def _moved_into_place(target: Path) -> Iterator[Path]:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise BadInput(f"{target} cannot be written ({error.strerror}): name a file in a folder of yours") from error
    finally:
        temporary.unlink(missing_ok=True)


def _counted(chunks: Iterator[pd.DataFrame], told: Callable[[int], None]) -> Iterator[pd.DataFrame]:
    rows = 0
    for chunk in chunks:
        yield chunk
        rows += len(chunk)
        told(rows)


def _scored(model: LoadedModel, source: Path, chunk_rows: int) -> Iterator[pd.DataFrame]:
    first_row = 1
    read = _parquet_chunks if _starts_with(source, _PARQUET) else _csv_chunks
    for chunk in read(source, chunk_rows):
        if first_row == 1:
            _check_columns(list(map(str, chunk.columns)), model, source)
        scored = chunk.copy()
        probabilities = model.pipeline.predict_proba(features_of(chunk, model, source, first_row))[:, 1]
        scored["probability"] = probabilities
        scored["prediction"] = (probabilities > 0.5).astype("int64")
        scored["model_version"] = int(model.version)
        first_row += len(chunk)
        yield scored
    if first_row == 1:
        raise UnreadableData(f"{source} has no rows")


def _starts_with(source: Path, mark: bytes) -> bool:
    try:
        with source.open("rb") as handle:
            return handle.read(len(mark)) == mark
    except OSError as error:
        raise UnreadableData(f"{source} cannot be read ({error.strerror}): name an existing file") from error


def _check_columns(columns: list[str], model: LoadedModel, source: Path) -> None:
    missing = [column for column in model.inputs if column not in columns]
    if missing:
        raise BadInput(f"{source} has no column {', '.join(map(repr, missing))}, which the model needs")
    taken = [column for column in ADDED if column in columns]
    if taken:
        raise BadInput(f"{source} has a column {', '.join(map(repr, taken))} already: rename it")


def features_of(chunk: pd.DataFrame, model: LoadedModel, source: Path, first_row: int) -> pd.DataFrame:
    """The model's columns of some rows: numbers as float64, text as text, missing ones as NaN.

    Args:
        chunk: Raw rows, cells as text or typed.
        model: Its `inputs` say which columns, and which of them are text.
        source: The file, for messages.
        first_row: The number of the first row in the file, from 1.

    Raises:
        BadInput: A cell is no number where one is needed; its column and rows are named.
    """
    import numpy as np
    import pandas as pd

    from ml.contract import as_text

    columns: dict[str, Any] = {}
    for name, kind in model.inputs.items():
        cells = chunk[name].astype(object)
        is_missing = cells.isna() | cells.map(lambda cell: isinstance(cell, str) and cell.strip() in MISSING_WORDS)
        cells = cells.mask(is_missing, np.nan)
        if kind == "string":
            columns[name] = as_text(cells)
            continue
        if chunk.attrs.get(_DECIMAL_COMMAS):
            cells = cells.map(_with_point, na_action="ignore")
        plain = cells.map(lambda cell: _TRUTHS.get(str(cell).strip().lower(), cell), na_action="ignore")
        numbers = pd.to_numeric(plain, errors="coerce").astype("float64")
        wrong = np.flatnonzero((numbers.isna() & cells.notna()) | np.isinf(numbers))
        if len(wrong):
            rows = ", ".join(str(first_row + int(at)) for at in wrong[:5])
            shown = repr(str(cells.iloc[wrong[0]])[:40])
            raise BadInput(f"{source}: column {name!r} has {shown}, which is no number (row {rows}): correct it")
        columns[name] = numbers
    return pd.DataFrame(columns)


def _with_point(cell: Any) -> Any:
    return to_number(cell) if isinstance(cell, str) and is_decimal_comma(cell) else cell


def _csv_chunks(source: Path, chunk_rows: int) -> Iterator[pd.DataFrame]:
    import pandas as pd

    # pandas would drop cells beyond the header and rewrite numbers; the csv module gives every cell as it stands.
    try:
        with _open_text(source) as handle:
            delimiter = find_dialect(handle.read(2**20), source.name).delimiter
            handle.seek(0)
            lines = csv.reader(handle, strict=True, delimiter=delimiter)
            header = next(lines, [])
            _check_header(header, source)
            for number, rows in enumerate(_pieces(lines, chunk_rows)):
                for at, row in enumerate(rows, number * chunk_rows + 1):
                    if len(row) != len(header):
                        raise csv.Error(f"row {at} has {len(row)} cells, the header {len(header)}")
                chunk = pd.DataFrame(rows, columns=header, dtype=object)
                # Where cells are separated by commas, 1,234 would be a thousand to some and one and a bit to others.
                chunk.attrs[_DECIMAL_COMMAS] = delimiter != ","
                yield chunk
    except UnicodeDecodeError as error:
        raise UnreadableData(f"{source} is not UTF-8 ({error.reason}): save it as UTF-8") from error
    except (csv.Error, EOFError, gzip.BadGzipFile) as error:
        raise UnreadableData(f"{source} is not a proper CSV file: {error}") from error


def _pieces(lines: Iterator[list[str]], size: int) -> Iterator[list[list[str]]]:
    filled = (line for line in lines if line)
    while piece := list(islice(filled, size)):
        yield piece


def _open_text(source: Path) -> IO[str]:
    if _starts_with(source, _GZIP):
        return gzip.open(source, "rt", encoding="utf-8-sig", newline="")
    return source.open(encoding="utf-8-sig", newline="")


def _check_header(header: list[str], source: Path) -> None:
    if not header:
        raise UnreadableData(f"{source} is empty: it needs a header and rows")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise BadInput(f"{source}: column {', '.join(map(repr, twice))} is there twice: rename or remove one")


def _parquet_chunks(source: Path, chunk_rows: int) -> Iterator[pd.DataFrame]:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source) as file:
            for batch in file.iter_batches(batch_size=chunk_rows):
                # Arrow's own types keep whole numbers with gaps, and dates, as they are.
                yield batch.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableData(f"{source} looks like Parquet and cannot be read ({reason})") from error


def _write_csv(chunks: Iterator[pd.DataFrame], handle: IO[str]) -> int:
    rows = 0
    for chunk in chunks:
        chunk.to_csv(handle, index=False, header=rows == 0, lineterminator="\n")
        rows += len(chunk)
    return rows


def _write_parquet(chunks: Iterator[pd.DataFrame], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, writer = 0, None
    try:
        for chunk in chunks:
            table = pa.Table.from_pandas(chunk, schema=writer.schema if writer else None, preserve_index=False)
            # The note about pandas' own types would bind readers to them.
            table = table.replace_schema_metadata(None)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            rows += len(chunk)
    finally:
        if writer is not None:
            writer.close()
    return rows
