"""From the body of a request to its rows, or to what is wrong with it. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import Any

import orjson

from serving.table import MAX_PROBLEMS, CsvText, RequestRefused, Table

JSON, CSV = "application/json", "text/csv"
PARQUET = ("application/vnd.apache.parquet", "application/x-parquet", "application/parquet")
KINDS = (JSON, CSV, *PARQUET)
_SHAPES = "rows, columns, dataframe_split or dataframe_records"
_MOST_PARQUET_BYTES = 64 * 2**20


def parse(body: bytes, content_type: str, max_rows: int) -> Table:
    """Reads the rows of a request.

    Args:
        body: JSON with one of `rows` (`[{...}, ...]`), `columns` (`{"name": [...]}`), `dataframe_split`
            (`{"columns": [...], "data": [[...], ...]}`) and `dataframe_records`; or CSV with a header; or Parquet.
        content_type: One of `KINDS`, parameters ignored.
        max_rows: The most rows.

    Raises:
        RequestRefused: 415 for another type, 400 for what cannot be read, 413 for too many rows, 422 for none.
    """
    kind = content_type if content_type == JSON else content_type.partition(";")[0].strip().lower()
    if kind == JSON:
        table = _json_table(body)
    elif kind == CSV:
        table = _csv_table(body, max_rows)
    elif kind in PARQUET:
        table = _parquet_table(body, max_rows)
    else:
        raise RequestRefused(
            415, "content_type", f"the content type is {kind[:80] or 'missing'}: send {', '.join(KINDS[:3])}",
            [{"row": None, "field": "Content-Type", "rule": " or ".join(KINDS[:3])}],
        )  # fmt: skip
    if not table.size:
        raise RequestRefused(
            422, "no_rows", "there are no rows: send at least one",
            [{"row": None, "field": "rows", "rule": "at least one row"}],
        )  # fmt: skip
    if table.size > max_rows:
        raise _too_many(table.size, max_rows)
    return table


def _too_many(size: int, max_rows: int) -> RequestRefused:
    problems = [{"row": None, "field": "rows", "rule": f"at most {max_rows} rows"}]
    message = f"there are {size:,} rows: send at most {max_rows:,} at a time"
    return RequestRefused(413, "too_many_rows", message, problems)


def _unreadable(code: str, rule: str, why: str) -> RequestRefused:
    return RequestRefused(400, code, f"the body {why}", [{"row": None, "field": "body", "rule": rule}])


def _shape(field: str, rule: str, message: str) -> RequestRefused:
    return RequestRefused(422, "no_rows", message, [{"row": None, "field": field, "rule": rule}])


def read_json(body: bytes) -> Any:
    """The value that JSON stands for.

    Raises:
        RequestRefused: 400, it is no JSON in UTF-8, or nested too deeply.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # It stops at what JSON itself does not know, such as NaN; the slower reader says better what and where.
        return _read_slowly(body)


def _read_slowly(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _unreadable("bad_json", "JSON in UTF-8", "is not UTF-8") from error
    except RecursionError as error:
        raise _unreadable("bad_json", "JSON of rows and their fields", "is nested too deeply") from error
    except ValueError as error:
        raise _unreadable("bad_json", "JSON in UTF-8", f"is not JSON: {str(error)[:200]}") from error


def _json_table(body: bytes) -> Table:
    found = read_json(body)
    found = found if isinstance(found, dict) else {}
    if len(found) == 1 and "rows" in found:
        return _from_rows(found["rows"])
    given = [name for name in ("rows", "columns", "dataframe_split", "dataframe_records") if name in found]
    if len(given) > 1:
        raise _shape(given[1], f"only one of {_SHAPES}", f"the body has {' and '.join(given)}: send one of them")
    if given == ["columns"]:
        table = _from_columns(found["columns"])
    elif given == ["dataframe_split"]:
        table = _from_split(found["dataframe_split"])
    else:
        table = _from_rows(found.get("rows", found.get("dataframe_records")))
    # MLflow's clients put everything that is not data under `params`.
    params = found.get("params")
    table.options = {**(params if isinstance(params, dict) else {}), **found}
    return table


def _from_rows(rows: Any) -> Table:
    if not isinstance(rows, list):
        raise _shape("rows", "a list of objects", 'the body must be an object such as {"rows": [{"field": value}]}')
    if set(map(type, rows)) <= {dict}:
        return Table(len(rows), rows)
    wrong = [number for number, row in enumerate(rows) if not isinstance(row, dict)]
    problems = [{"row": number, "field": "rows", "rule": "an object"} for number in wrong[:MAX_PROBLEMS]]
    raise RequestRefused(422, "wrong_rows", f"row {wrong[0]} is no object", problems)


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
        problems = [{"row": at, "field": "dataframe_split", "rule": rule} for at in wrong[:MAX_PROBLEMS]]
        raise RequestRefused(422, "wrong_rows", f"row {wrong[0]} is no {rule[2:]}", problems)
    columns = dict(zip(names, map(list, zip(*data, strict=True)), strict=True)) if data and names else {}
    return Table(len(data), columns=columns)


def _csv_table(body: bytes, max_rows: int) -> Table:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable("bad_csv", "CSV in UTF-8", "is not UTF-8") from error
    try:
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(lines, [])
        _check_header(header)
        rows: list[dict[str, Any]] = []
        for values in filter(None, lines):
            if len(values) != len(header):
                problems = [{"row": len(rows), "field": None, "rule": f"{len(header)} values, as in the header"}]
                raise RequestRefused(400, "bad_csv", f"row {len(rows)} has {len(values)} values", problems)
            rows.append({key: CsvText(value) for key, value in zip(header, values, strict=True)})
            if len(rows) > max_rows:
                break
    except csv.Error as error:
        raise _unreadable("bad_csv", "CSV with a header", f"is not CSV: {error}") from error
    return Table(len(rows), rows)


def _check_header(header: list[str]) -> None:
    twice = [name for name, count in Counter(header).items() if count > 1][:MAX_PROBLEMS]
    if twice:
        problems = [{"row": None, "field": name, "rule": "once in the header"} for name in twice]
        raise RequestRefused(400, "bad_csv", f"the header has {twice[0][:40]!r} more than once", problems)


def _parquet_table(body: bytes, max_rows: int) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        groups = [file.metadata.row_group(at) for at in range(file.metadata.num_row_groups)]
        if file.metadata.num_rows > max_rows:
            raise _too_many(file.metadata.num_rows, max_rows)
        unpacked = sum(group.total_byte_size for group in groups)
        if unpacked > _MOST_PARQUET_BYTES or unpacked < 0:
            raise _unreadable("bad_parquet", f"at most {_MOST_PARQUET_BYTES} bytes unpacked", "unpacks to too much")
        table = file.read()
        names = table.column_names
        if len(set(names)) != len(names):
            raise _unreadable("bad_parquet", "each column once", "names a column more than once")
        columns = {name: table.column(at).to_pylist() for at, name in enumerate(names)}
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
        why = " ".join(str(error).split())[:200]
        raise _unreadable("bad_parquet", "a Parquet file", f"is no Parquet file that can be read: {why}") from error
    return Table(table.num_rows, columns={name: _plain(values) for name, values in columns.items()})


def _plain(values: list[Any]) -> list[Any]:
    """A column's values as JSON has them: a truth is 0 or 1, and NaN is null."""
    return [int(one) if isinstance(one, bool) else None if one != one else one for one in values]
