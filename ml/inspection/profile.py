"""What the columns of a data set are like, in numbers. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_TOP = 5


def profile(frame: pd.DataFrame) -> dict[str, Any]:
    """The profile of a table.

    Returns:
        `{"rows", "columns": [{"name", "dtype", "missing", "distinct", ...}]}`; numbers have `mean`, `std`, `min`,
        `median` and `max`, others `top`, their most frequent values with their counts.
    """
    return {"rows": len(frame), "columns": [_column(frame[name]) for name in frame.columns]}


def _column(values: pd.Series) -> dict[str, Any]:
    import pandas as pd

    present = values.dropna()
    facts = {"name": str(values.name), "dtype": str(values.dtype), "missing": len(values) - len(present)}
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values) and len(present):
        numbers = present.astype("float64")
        spread = float(numbers.std()) if len(numbers) > 1 else 0.0
        return facts | {
            "distinct": int(present.nunique()), "mean": float(numbers.mean()), "std": spread,
            "min": float(numbers.min()), "median": float(numbers.median()), "max": float(numbers.max()),
        }  # fmt: skip
    counts = present.astype(str).value_counts()
    top = {str(value)[:100]: int(count) for value, count in counts.head(_TOP).items()}
    return facts | {"distinct": len(counts), "top": top}


def table(profiled: dict[str, Any], limit: int = 40) -> list[str]:
    """The profile as lines of a Markdown table, of at most `limit` columns of the data."""
    lines = ["| column | type | missing | distinct | values |", "|---|---|---|---|---|"]
    for column in profiled["columns"][:limit]:
        lines.append(
            f"| {plain(column['name'])} | {column['dtype']} | {column['missing']} | {column['distinct']} | "
            f"{_values(column)} |"
        )
    more = len(profiled["columns"]) - limit
    return [*lines, *([f"\n… and {more} more columns."] if more > 0 else [])]


def _values(column: dict[str, Any]) -> str:
    if "mean" in column:
        return f"{column['min']:g} to {column['max']:g}, mean {column['mean']:g}"
    return ", ".join(f"{plain(value)} ({count})" for value, count in column["top"].items())


def plain(text: str, most: int | None = 60) -> str:
    """A text that Markdown and HTML show as it stands, in one line of at most so many characters."""
    shown = escape(" ".join(text.split())[:most], quote=False)
    for char in "\\`*_[]|":
        shown = shown.replace(char, f"\\{char}")
    return shown
