"""From the body of a request to predictions, or to what exactly is wrong with it. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ml.load import LoadedModel, frame_of

MAX_PROBLEMS = 20
# What is larger could leave the range of a float while the model scales and adds it up.
_LARGEST_NUMBER = 1e100
_LONGEST_TEXT = 1000
_CSV_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
CSV_MISSING = frozenset(
    {
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
        "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    }
)  # fmt: skip
"""The cells of a text column that training's reader (pandas) takes as missing too."""
_NUMBER_RULE = "a finite number from -1e100 to 1e100"
_TEXT_RULE = f"text of at most {_LONGEST_TEXT} characters, or null"


class RequestRefused(Exception):
    """A request that cannot be answered.

    Args:
        status: The HTTP status.
        code: A word for programs.
        message: One line for people.
        problems: `{"row", "field", "rule"}` for each thing that is wrong; a row counts from 0.
    """

    def __init__(self, status: int, code: str, message: str, problems: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = problems or []


def parse(body: bytes, content_type: str, max_rows: int) -> list[dict[str, Any]]:
    """Reads the rows of a request.

    Args:
        body: JSON `{"rows": [{...}, ...]}`, or CSV with a header.
        content_type: `application/json` or `text/csv`, parameters ignored.
        max_rows: The most rows.

    Raises:
        RequestRefused: 415 for another type, 400 for what cannot be read, 413 for too many rows, 422 for none.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        rows = _json_rows(body)
    elif kind == "text/csv":
        rows = _csv_rows(body, max_rows)
    else:
        raise RequestRefused(
            415, "content_type", f"the content type is {kind or 'missing'}: send application/json or text/csv",
            [{"row": None, "field": "Content-Type", "rule": "application/json or text/csv"}],
        )  # fmt: skip
    if not rows:
        raise RequestRefused(
            422, "no_rows", "there are no rows: send at least one",
            [{"row": None, "field": "rows", "rule": "at least one row"}],
        )  # fmt: skip
    if len(rows) > max_rows:
        raise RequestRefused(
            413, "too_many_rows", f"there are {len(rows):,} rows: send at most {max_rows:,} at a time",
            [{"row": None, "field": "rows", "rule": f"at most {max_rows} rows"}],
        )  # fmt: skip
    return rows


def score(model: LoadedModel, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Checks rows against the model's signature and predicts them.

    Returns:
        `{"model": {"name", "version"}, "predictions": [0 or 1, ...], "probabilities": [...]}`, in the order of the
        rows, and `ignored_fields` where fields came that the model does not know.

    Raises:
        RequestRefused: 422 with each wrong row, its field and the rule.
    """
    cleaned: list[dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        cleaned.append({field: _clean(row, field, kind, number, problems) for field, kind in model.inputs.items()})
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        first = problems[0]
        raise RequestRefused(
            422, "wrong_rows", f"row {first['row']}: field {first['field']!r}: {first['rule']}", problems[:MAX_PROBLEMS]
        )
    probability = _probability(model, cleaned)
    answer = {
        "model": {"name": model.name, "version": model.version},
        "predictions": (probability > 0.5).astype(int).tolist(),
        "probabilities": probability.tolist(),
    }
    ignored = sorted({str(field) for row in rows for field in row} - set(model.inputs))
    return {**answer, "ignored_fields": ignored} if ignored else answer


def _clean(row: Mapping[str, Any], field: str, kind: str, number: int, problems: list[dict[str, Any]]) -> Any:
    if field not in row:
        problems.append({"row": number, "field": field, "rule": "required"})
        return None
    value = row[field]
    found = _text(value) if kind == "string" else _number(value)
    if found is _WRONG:
        rule = _TEXT_RULE if kind == "string" else _NUMBER_RULE
        problems.append({"row": number, "field": field, "rule": f"{rule}, not {_shown(value)}"})
    return found


def _probability(model: LoadedModel, rows: list[dict[str, Any]]) -> Any:
    import numpy as np

    with np.errstate(all="ignore"):
        found = model.pipeline.predict_proba(frame_of(model, rows))[:, 1]
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found))[0])
        problems = [{"row": row, "field": None, "rule": "values that the model can compute with"}]
        raise RequestRefused(422, "wrong_rows", f"row {row}: the model finds no probability for it", problems)
    return found


_WRONG = object()


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, _CsvText)):
        return _WRONG
    if isinstance(value, str) and not _CSV_NUMBER.fullmatch(value):
        return _WRONG
    try:
        found = float(value)
    except OverflowError:
        return _WRONG
    return found if abs(found) <= _LARGEST_NUMBER else _WRONG


def _text(value: Any) -> Any:
    if value is None or (isinstance(value, _CsvText) and value.strip() in CSV_MISSING):
        return None
    if isinstance(value, str):
        # Half a surrogate pair is text for JSON and for nothing else.
        is_text = len(value) <= _LONGEST_TEXT and (value.isascii() or not _HALF_PAIR.search(value))
        return str(value) if is_text else _WRONG
    return _WRONG


_HALF_PAIR = re.compile("[\ud800-\udfff]")


class _CsvText(str):
    """A value of a CSV file: text, which may stand for a number, or when empty for nothing."""


def _shown(value: Any) -> str:
    return repr(value)[:40] if isinstance(value, (str, int, float, bool)) or value is None else type(value).__name__


def _unreadable(code: str, rule: str, why: str) -> RequestRefused:
    return RequestRefused(400, code, f"the body {why}", [{"row": None, "field": "body", "rule": rule}])


def _json_rows(body: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _unreadable("bad_json", "JSON in UTF-8", "is not UTF-8") from error
    except RecursionError as error:
        raise _unreadable("bad_json", "JSON of rows and their fields", "is nested too deeply") from error
    except ValueError as error:
        raise _unreadable("bad_json", "JSON in UTF-8", f"is not JSON: {str(error)[:200]}") from error
    rows = found.get("rows") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise RequestRefused(
            422, "no_rows", 'the body must be an object such as {"rows": [{"field": value}]}',
            [{"row": None, "field": "rows", "rule": "a list of objects"}],
        )  # fmt: skip
    wrong = [number for number, row in enumerate(rows) if not isinstance(row, dict)]
    if wrong:
        problems = [{"row": number, "field": "rows", "rule": "an object"} for number in wrong[:MAX_PROBLEMS]]
        raise RequestRefused(422, "wrong_rows", f"row {wrong[0]} is no object", problems)
    return rows


def _csv_rows(body: bytes, max_rows: int) -> list[dict[str, Any]]:
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
            rows.append({key: _CsvText(value) for key, value in zip(header, values, strict=True)})
            if len(rows) > max_rows:
                break
    except csv.Error as error:
        raise _unreadable("bad_csv", "CSV with a header", f"is not CSV: {error}") from error
    return rows


def _check_header(header: list[str]) -> None:
    twice = [name for name, count in Counter(header).items() if count > 1][:MAX_PROBLEMS]
    if twice:
        problems = [{"row": None, "field": name, "rule": "once in the header"} for name in twice]
        raise RequestRefused(400, "bad_csv", f"the header has {twice[0][:40]!r} more than once", problems)
