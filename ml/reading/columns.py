"""What each column of a table is, and its cells as values: by the contract, or by the whole column. Pure.

`ml.values` has the rules for one value; a column is read by the same ones. Without a contract a column is what all its
cells say, never only the first ones, and one cell that is not a number's own spelling makes it a category.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml.values import (
    LARGEST_NUMBER,
    LONGEST_TEXT,
    TYPES,
    WRONG,
    Column,
    is_own_spelling,
    is_own_spelling_with_comma,
    is_truth,
    is_whole,
    missing_words,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ml.config.schema import PipelineConfig
    from ml.reading.tables import RawTable

FEW_VALUES, MANY_VALUES, ROWS_A_VALUE = 50, 1000, 20
"""A text column with at most 50 different values, or with 20 rows for each (up to 1000 values), is a category; with
more it is text, which identifies rows rather than describing them."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}.*")


def columns_of(frame: pd.DataFrame, config: PipelineConfig, commas: bool = False) -> dict[str, Column]:
    """How each column of raw rows, of texts or typed, is read: by its rule in the `schema`, or as `type_of` guesses.

    `data.missing` and the rules' own `missing` say what is missing; `commas`, whether a number in a text may have a
    decimal comma.
    """
    columns = {}
    for name in map(str, frame.columns):
        rule = config.contract.get(name)
        listed: tuple[tuple[str, ...] | None, ...] = (config.data.missing, rule.missing if rule else None)
        if name == config.data.target:
            # A label may be called NA or None; only what is listed and nothing at all is missing there.
            listed = ((), *(words or None for words in listed))
        words = missing_words(*listed)
        kind = rule.type if rule else type_of(frame[name], words, commas)
        if name == config.data.target and kind == "boolean":
            # Its labels are shown and asked for as words.
            kind = "category"
        columns[name] = Column(name, kind, words, *((rule.unit, rule.thousands) if rule else ()))
    return columns


def type_of(values: pd.Series, words: frozenset[str], commas: bool = False) -> str:
    """The type of a column, texts or typed, for which there is no contract; `words` stand for a missing value."""
    import pandas as pd

    declared = _declared(values)
    if declared:
        return declared
    reader = Column(str(values.name), "string", words)
    present = [value for value in _distinct(values) if not reader.is_missing(value)]
    if pd.api.types.is_float_dtype(values):
        return "integer" if all(float(value).is_integer() for value in present) and present else "number"
    if not all(isinstance(value, str) for value in present):
        return _type_of_objects(present, len(values))
    return _type_of_texts({value.strip() for value in present}, len(values), commas)


def _declared(values: pd.Series) -> str:
    """The type that a typed column has; empty for texts, floats and objects, whose values decide."""
    import pandas as pd

    kinds = pd.api.types
    if kinds.is_bool_dtype(values.dtype):
        return "boolean"
    if kinds.is_integer_dtype(values.dtype):
        present = values.dropna()
        # A float does not tell such numbers apart; they name things.
        is_name = len(present) > 0 and (int(present.max()) > 2**53 or int(present.min()) < -(2**53))
        return _category_or_text(present.nunique(), len(values)) if is_name else "integer"
    arrow = getattr(values.dtype, "pyarrow_dtype", None)
    if kinds.is_datetime64_any_dtype(values.dtype) or kinds.is_timedelta64_dtype(values.dtype):
        return "datetime"
    if arrow is None:
        return ""
    import pyarrow as pa

    if pa.types.is_temporal(arrow):
        return "datetime"
    return "number" if pa.types.is_decimal(arrow) else ""


def _type_of_objects(present: Sequence[Any], rows: int) -> str:
    """The type of Python objects of several kinds, as a table made by hand may hold."""
    import datetime
    import numbers

    if all(isinstance(value, bool) for value in present):
        return "boolean"
    if all(isinstance(value, numbers.Number) and not isinstance(value, bool) for value in present):
        return "integer" if all(float(value).is_integer() for value in present) else "number"  # type: ignore[arg-type]
    if all(isinstance(value, (datetime.date, datetime.time, datetime.timedelta)) for value in present):
        return "datetime"
    return _category_or_text(len(present), rows)


def _type_of_texts(texts: set[str], rows: int, commas: bool) -> str:
    if not texts:
        return "category"
    if all(map(is_truth, texts)):
        return "boolean"
    if all(map(is_own_spelling, texts)):
        return "integer" if all(map(is_whole, texts)) else "number"
    if commas and all(map(is_own_spelling_with_comma, texts)):
        return "number"
    if _are_dates(texts):
        return "datetime"
    if any(len(text) > LONGEST_TEXT for text in texts):
        return "string"
    return _category_or_text(len(texts), rows)


def _category_or_text(values: int, rows: int) -> str:
    """Whether so many different values in so many rows are a category's, or a text's."""
    return "category" if values <= max(FEW_VALUES, min(MANY_VALUES, rows // ROWS_A_VALUE)) else "string"


def _are_dates(texts: set[str]) -> bool:
    """Whether all texts are days, with or without a time."""
    import pandas as pd

    if not all(map(_DATE.fullmatch, texts)):
        return False
    return bool(pd.to_datetime(pd.Series(list(texts)), errors="coerce", format="mixed", utc=True).notna().all())


def _distinct(values: pd.Series) -> list[Any]:
    """The different values of a column that are there, as plain Python ones."""
    if values.dtype == object:
        # 1, 1.0 and true are one value to pandas.
        return list({(type(value).__name__, value): value for value in values if value is not None}.values())
    return values.dropna().unique().tolist()


def converted(values: pd.Series, column: Column, commas: bool = False) -> tuple[pd.Series, np.ndarray]:
    """The values of a whole column, of texts (with a decimal comma if `commas`) or typed.

    Returns:
        Numbers as float64, texts as objects, missing ones as NaN, with the index of `values`; and for each row whether
        its cell is not of the column's type (its value is NaN then).
    """
    import numpy as np
    import pandas as pd

    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if column.type in ("number", "integer") and is_number:
        # What is numbers already numpy reads a hundred times faster than one after the other.
        return _numbers(values, column)
    if values.dtype == object:
        codes, cells = np.arange(len(values)), list(values)
    else:
        codes, unique = pd.factorize(values, use_na_sentinel=True)
        cells = unique.tolist()
    read = column.read_all(cells, commas)
    wrong = np.array([value is WRONG for value in read] + [False], dtype=bool)
    kept = [np.nan if value is WRONG or value is None else value for value in read] + [np.nan]
    # pandas would take texts for its own kind of them, which the Pipeline's encoder was not fitted on.
    kind = "float64" if column.is_numeric else object
    # A missing cell has the code -1, which is the last place.
    read_values = np.array(kept, dtype=kind)[codes]
    return pd.Series(read_values, index=values.index, name=values.name, dtype=kind), wrong[codes]


def told(described: Mapping[str, Any]) -> list[str]:
    """What was guessed of a table's columns, and what was left out when it was read, a line each."""
    guessed = [name for name, column in described["columns"].items() if column["guessed"]]
    by_type = {kind: [name for name in guessed if described["columns"][name]["type"] == kind] for kind in TYPES}
    lines = [f"guessed to be {kind}: {', '.join(map(repr, names))}" for kind, names in by_type.items() if names]
    return [*lines, *described["notes"]]


def _numbers(values: pd.Series, column: Column) -> tuple[pd.Series, np.ndarray]:
    import numpy as np
    import pandas as pd

    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    if column.missing_numbers:
        numbers = np.where(np.isin(numbers, list(column.missing_numbers)), np.nan, numbers)
    wrong = np.abs(numbers) > LARGEST_NUMBER
    return pd.Series(np.where(wrong, np.nan, numbers), index=values.index, name=values.name), wrong


def described(columns: Mapping[str, Column], config: PipelineConfig, raw: RawTable) -> dict[str, Any]:
    """How the columns of a run's table were read, as plain values: what later steps and people look up.

    As `{"columns": {name: {"type", "guessed", ...}}, "commas": bool, "notes": [...]}`.
    """
    plain = {name: {**column.as_dict(), "guessed": name not in config.contract} for name, column in columns.items()}
    return {"columns": plain, "commas": raw.commas, "notes": list(raw.notes)}


def model_frame(table: Mapping[str, Iterable[Any]] | pd.DataFrame, columns: Iterable[Column]) -> pd.DataFrame:
    """Columns as the model takes them, in its order: numbers as float64, texts as objects, missing ones as NaN.

    The table's values were checked before; what is of another type is missing here.
    """
    import pandas as pd

    series = {}
    for column in columns:
        values = table[column.name]
        cells = values if isinstance(values, pd.Series) else pd.Series(list(values), dtype=object)
        series[column.name] = converted(cells, column)[0]
    return pd.DataFrame(series).reset_index(drop=True)
