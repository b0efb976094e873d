"""Score a whole file with a loaded model, piece by piece. Effects: reads one file and writes another.

What the model did not add stays as it was: a CSV's cells are copied as text, a Parquet file's columns keep their types.
Cells are read as values by the same rules as in training and in requests (`ml.values`).
"""

from __future__ import annotations

import csv
import gzip
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ml.errors import BadInput, UnreadableData
from ml.reading.csv_dialect import CsvRows, find_dialect
from ml.reading.tables import PARQUET_MARK

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ml.registry.loading import LoadedModel

CHUNK_ROWS = 20_000
ADDED = ("probability", "prediction", "model_version")
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Piece:
    """Some rows of a file: every cell as it stands, which is written back, and the named columns, for the model."""

    table: pa.Table
    frame: pd.DataFrame
    commas: bool = False
    """Whether a number in a text may have a decimal comma."""


@dataclass
class Scored:
    """How many rows of a file were scored, and what is to be said of them."""

    rows: int = 0
    unseen: Counter[str] = field(default_factory=Counter)
    """How many rows had a category that training never saw, by column."""
    added: tuple[str, ...] = ADDED
    """The names of the three columns that were added; a name that is taken gets a number."""


def score_file(
    model: LoadedModel,
    source: Path,
    target: Path | IO[str],
    chunk_rows: int = CHUNK_ROWS,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Scored:
    """Writes the rows of a file with `probability`, `prediction` (0 or 1) and `model_version` added.

    The source is a CSV (UTF-8, also gzipped) or Parquet file, or a folder of Parquet files. A target that ends in
    `.parquet` is written as Parquet and anything else, such as an open text file, as CSV; a path shows the whole result
    at once or stays as it was. `on_progress` is told, after each `chunk_rows` rows, how many are scored.

    Raises:
        UnreadableData: The source cannot be read.
        BadInput: A column that the model needs is missing or is no number.
    """
    scored = Scored()
    pieces = _scored(model, source, chunk_rows, scored, on_progress)
    if not isinstance(target, Path):
        _write_csv(pieces, target)
        return scored
    with moved_into_place(target) as temporary:
        if target.suffix.lower() in (".parquet", ".pq"):
            _write_parquet(pieces, temporary)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as handle:
                _write_csv(pieces, handle)
    return scored


@contextmanager
def moved_into_place(target: Path) -> Iterator[Path]:
    """A file to write, which appears whole as the target at the end; `BadInput` where it cannot be written there."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise BadInput(f"{target} cannot be written ({error.strerror}): name a file in a folder of yours") from error
    finally:
        temporary.unlink(missing_ok=True)


def _scored(
    model: LoadedModel, source: Path, chunk_rows: int, scored: Scored, on_progress: Callable[[int], None]
) -> Iterator[pa.Table]:
    import pyarrow as pa

    from ml.training.pipeline import known_categories

    categories_of = known_categories(model.pipeline)
    for piece in _pieces(source, chunk_rows):
        if not scored.rows:
            missing = [repr(column) for column in model.inputs if column not in piece.frame.columns]
            if missing:
                raise BadInput(f"{source} has no column {', '.join(missing)}, which the model needs")
            scored.added = _free_names(piece.table.column_names)
        features = features_of(piece, model, source, scored.rows + 1)
        for name, categories in categories_of.items():
            scored.unseen[name] += int((features[name].notna() & ~features[name].isin(categories)).sum())
        probability = model.pipeline.predict_proba(features)[:, 1]
        table = piece.table
        added = (probability, (probability > 0.5).astype("int64"), [int(model.version)] * len(table))
        for name, values in zip(scored.added, added, strict=True):
            table = table.append_column(name, pa.array(values))
        yield table
        scored.rows += len(table)
        on_progress(scored.rows)
    if not scored.rows:
        raise UnreadableData(f"{source} has no rows")


def _pieces(source: Path, chunk_rows: int) -> Iterator[Piece]:
    if source.is_dir():
        return _folder_pieces(source, chunk_rows)
    return (_parquet_pieces if _starts_with(source, PARQUET_MARK) else _csv_pieces)(source, chunk_rows)


def _free_names(taken: list[str]) -> tuple[str, ...]:
    """The names of what is added: the user's own columns keep theirs."""
    names = []
    for name in ADDED:
        candidates = chain([name], (f"{name}_{number}" for number in count(2)))
        names.append(next(each for each in candidates if each not in taken))
    return tuple(names)


def _starts_with(source: Path, mark: bytes) -> bool:
    try:
        with source.open("rb") as handle:
            return handle.read(len(mark)) == mark
    except OSError as error:
        raise UnreadableData(f"{source} cannot be read ({error.strerror}): name an existing file") from error


def features_of(piece: Piece, model: LoadedModel, source: Path, first_row: int) -> pd.DataFrame:
    """The model's columns of some rows, read as in training; `BadInput` names the cells of another type, by row."""
    import numpy as np
    import pandas as pd

    from ml.reading.columns import converted

    columns = {}
    for reading in model.readings:
        cells = piece.frame[reading.name]
        columns[reading.name], is_wrong = converted(cells, reading, piece.commas or model.commas)
        wrong = np.flatnonzero(is_wrong)
        if len(wrong):
            rows = ", ".join(str(first_row + int(at)) for at in wrong[:5])
            shown = repr(str(cells.iloc[wrong[0]])[:40])
            kind = "no number" if reading.is_numeric else "no text that a category may be"
            raise BadInput(f"{source}: column {reading.name!r} has {shown}, which is {kind} (row {rows}): correct it")
    return pd.DataFrame(columns)


def _csv_pieces(source: Path, chunk_rows: int) -> Iterator[Piece]:
    import pandas as pd
    import pyarrow as pa

    try:
        with _open_text(source) as handle:
            dialect = find_dialect(handle.read(2**20), source.name)
            handle.seek(0)
            rows = CsvRows(handle, dialect, str(source))
            for chunk in rows.chunks(chunk_rows):
                cells = [pa.array(column, pa.large_string()) for column in zip(*chunk, strict=True)]
                frame = pd.DataFrame({rows.header[at]: pd.Series(cells[at].to_pandas()) for at in rows.named})
                yield Piece(pa.Table.from_arrays(cells, rows.header), frame, dialect.commas)
    except UnicodeDecodeError as error:
        raise UnreadableData(f"{source} is not UTF-8 ({error.reason}): save it as UTF-8") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise UnreadableData(f"{source} is not a proper CSV file: {error}") from error


def _open_text(source: Path) -> IO[str]:
    if _starts_with(source, _GZIP):
        return gzip.open(source, "rt", encoding="utf-8-sig", newline="")
    return source.open(encoding="utf-8-sig", newline="")


def _parquet_pieces(source: Path, chunk_rows: int) -> Iterator[Piece]:
    from ml.reading import parquet

    for table in parquet.batches(source, chunk_rows):
        yield Piece(table, parquet.frame_of(parquet.plain_columns(table).data))


def _folder_pieces(source: Path, chunk_rows: int) -> Iterator[Piece]:
    """The rows of all files of a folder, with what its `key=value` folders stand for as columns."""
    import pyarrow as pa

    from ml.data.folders import files_of
    from ml.reading.tables import partition_of

    for name, path in files_of(source).items():
        for piece in _parquet_pieces(path, chunk_rows):
            table, frame = piece.table, piece.frame
            for key, value in partition_of(name).items():
                table = table.append_column(key, pa.array([value] * len(table), pa.string()))
                frame[key] = value
            yield Piece(table, frame)


def _write_csv(tables: Iterator[pa.Table], handle: IO[str]) -> None:
    # The writer quotes what the end of its lines is made of, and a lone carriage return ends a line to other readers.
    writer = csv.writer(_PlainEnds(handle), lineterminator="\r\n")
    for at, table in enumerate(tables):
        if at == 0:
            writer.writerow(table.column_names)
        writer.writerows(zip(*(_shown(column) for column in table.columns), strict=True))


class _PlainEnds:
    """A text file whose lines end in a newline alone, whatever the writer ends them with."""

    def __init__(self, handle: IO[str]) -> None:
        self._handle = handle

    def write(self, line: str) -> int:
        """Writes one line."""
        return self._handle.write(line.removesuffix("\r\n") + "\n")


def _shown(column: pa.ChunkedArray) -> list[Any]:
    import pyarrow as pa

    cells: list[Any] = column.to_pylist()
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return [None if cell is None else cell.hex() for cell in cells]
    return cells


def _write_parquet(tables: Iterator[pa.Table], path: Path) -> None:
    import pyarrow.parquet as pq

    with ExitStack() as opened:
        writer = None
        for table in tables:
            writer = writer or opened.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)
