"""From the body of a request to its rows, or to what is wrong with it. Pure."""

from __future__ import annotations

import io
import json
from itertools import islice
from typing import Any

import orjson

from ml.errors import ContractViolation, TooManyRows, UnreadableData
from ml.reading.csv_dialect import CsvRows, find_dialect
from ml.reading.tables import decoded
from serving.api.table import MAX_PROBLEMS, Table
from serving.web.messages import RequestRefused, problem

JSON, CSV = "application/json", "text/csv"
PARQUET = ("application/vnd.apache.parquet", "application/x-parquet", "application/parquet")
KINDS = (JSON, CSV, *PARQUET)
_SHAPES = "rows, columns, dataframe_split or dataframe_records"
_MOST_PARQUET_BYTES = 16 * 2**20


def parse(body: bytes, content_type: str, max_rows: int) -> Table:
    """Reads the rows of a request: at most `max_rows`, from a body of one of `KINDS`, parameters ignored.

    JSON has one of `rows` (`[{...}, ...]`), `columns` (`{"name": [...]}`), `dataframe_split` (`{"columns": [...],
    "data": [[...], ...]}`) and `dataframe_records`; CSV has a header; or it is Parquet. `RequestRefused`: 415 for
    another type, 400 for what cannot be read, 413 for too many rows, 422 for none.
    """
    kind = content_type if content_type == JSON else content_type.partition(";")[0].strip().lower()
    if kind == JSON:
        table = _json_table(body)
    elif kind == CSV:
        table = _csv_table(body, max_rows)
    elif kind in PARQUET:
        table = _parquet_table(body, max_rows)
    else:
        message = f"the content type is {kind[:80] or 'missing'}: send {', '.join(KINDS[:3])}"
        raise RequestRefused(415, "content_type", message, [problem("Content-Type", " or ".join(KINDS[:3]))])
    if not table.size:
        raise _shape("rows", "at least one row", "there are no rows: send at least one")
    if table.size > max_rows:
        raise _too_many(max_rows)
    return table


def _too_many(max_rows: int) -> RequestRefused:
    message = f"there are more than {max_rows:,} rows: send at most {max_rows:,} at a time"
    return RequestRefused(413, "too_many_rows", message, [problem("rows", f"at most {max_rows} rows")])


def _unreadable(code: str, rule: str, why: str) -> RequestRefused:
    return RequestRefused(400, code, f"the body {why}", [problem("body", rule)])


def _shape(field: str, rule: str, message: str) -> RequestRefused:
    return RequestRefused(422, "no_rows", message, [problem(field, rule)])


def _wrong_rows(field: str, rule: str, wrong: list[int], message: str) -> RequestRefused:
    return RequestRefused(422, "wrong_rows", message, [problem(field, rule, row) for row in wrong[:MAX_PROBLEMS]])


def read_json(body: bytes) -> Any:
    """The value that JSON stands for; `RequestRefused` (400) where it is no JSON in UTF-8, or nested too deeply."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # It stops at what JSON itself does not know, such as NaN; the slower reader says better what and where.
        return _read_slowly(body)


def _read_slowly(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_NoValue)
    except UnicodeDecodeError as error:
        raise _unreadable("bad_json", "JSON in UTF-8", "is not UTF-8") from error
    except RecursionError as error:
        raise _unreadable("bad_json", "JSON of rows and their fields", "is nested too deeply") from error
    except ValueError as error:
        raise _unreadable("bad_json", "JSON in UTF-8", f"is not JSON: {str(error)[:200]}") from error


class _NoValue:
    """What JSON does not know, such as NaN; it is no value of any column, and a missing one is null."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


def _json_table(body: bytes) -> Table:
    value = read_json(body)
    content = value if isinstance(value, dict) else {}
    if len(content) == 1 and "rows" in content:
        return _from_rows(content["rows"])
    given = [name for name in ("rows", "columns", "dataframe_split", "dataframe_records") if name in content]
    if len(given) > 1:
        raise _shape(given[1], f"only one of {_SHAPES}", f"the body has {' and '.join(given)}: send one of them")
    if given == ["columns"]:
        table = _from_columns(content["columns"])
    elif given == ["dataframe_split"]:
        table = _from_split(content["dataframe_split"])
    else:
        table = _from_rows(content.get("rows", content.get("dataframe_records")))
    # MLflow's clients put everything that is not data under `params`.
    params = content.get("params")
    table.options = {**(params if isinstance(params, dict) else {}), **content}
    return table


def _from_rows(rows: Any) -> Table:
    if not isinstance(rows, list):
        raise _shape("rows", "a list of objects", 'the body must be an object such as {"rows": [{"field": value}]}')
    if set(map(type, rows)) <= {dict}:
        return Table(len(rows), rows)
    wrong = [number for number, row in enumerate(rows) if not isinstance(row, dict)]
    raise _wrong_rows("rows", "an object", wrong, f"row {wrong[0]} is no object")


def _from_columns(columns: Any) -> Table:
    if not isinstance(columns, dict) or not all(isinstance(values, list) for values in columns.values()):
        raise _shape("columns", "an object of lists", '"columns" must be an object such as {"field": [value, ...]}')
    sizes = {len(values) for values in columns.values()}
    if len(sizes) > 1:
        raise _shape("columns", "lists of one length", f"the columns have from {min(sizes)} to {max(sizes)} values")
    return Table(sizes.pop() if sizes else 0, columns=columns)


def _from_split(split: Any) -> Table:
    names, data = (split.get("columns"), split.get("data")) if isinstance(split, dict) else (None, None)
    if not isinstance(names, list) or not isinstance(data, list) or not all(isinstance(name, str) for name in names):
        rule = "columns: a list of names, data: a list of lists"
        raise _shape("dataframe_split", rule, '"dataframe_split" must have "columns" and "data"')
    if len(set(names)) != len(names):
        raise _shape("dataframe_split", "each column once", '"dataframe_split" names a column more than once')
    wrong = [at for at, row in enumerate(data) if not isinstance(row, list) or len(row) != len(names)]
    if wrong:
        rule = f"a list of {len(names)} values"
        raise _wrong_rows("dataframe_split", rule, wrong, f"row {wrong[0]} is no {rule[2:]}")
    columns = dict(zip(names, map(list, zip(*data, strict=True)), strict=True)) if data and names else {}
    return Table(len(data), columns=columns)


def _csv_table(body: bytes, max_rows: int) -> Table:
    if not body.strip():
        return Table(0)
    try:
        text = decoded(body, "the body")
        dialect = find_dialect(text, "the body")
        reader = CsvRows(io.StringIO(text, newline=""), dialect, "the body")
        rows = list(islice(reader, max_rows + 1))
    except (UnreadableData, ContractViolation) as error:
        problems = [problem("body", "CSV in UTF-8 with a header, each name once")]
        raise RequestRefused(400, "bad_csv", str(error)[:300], problems) from error
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(reader.header)
    columns = {reader.header[at]: cells[at] for at in reader.named}
    return Table(len(rows), columns=columns, commas=dialect.commas)


def _parquet_table(body: bytes, max_rows: int) -> Table:
    from ml.reading import parquet

    try:
        table = parquet.read(body, "the body", _MOST_PARQUET_BYTES, max_rows).data
    except TooManyRows as error:
        raise _too_many(max_rows) from error
    except (UnreadableData, ContractViolation) as error:
        rule = f"a flat Parquet file of at most {_MOST_PARQUET_BYTES} bytes unpacked"
        raise _unreadable("bad_parquet", rule, str(error).removeprefix("the body ")[:300]) from error
    columns = {name: table.column(at).to_pylist() for at, name in enumerate(table.column_names)}
    return Table(len(table), columns=columns)
