"""From somebody's table to a `pipeline.yaml` for it: the columns' types and ranges, as commented YAML. Pure.

`trackyard init` calls it. What is written is a start that its owner reads and corrects: every guess says what it was
made from.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ml.config.loading import parse_config
from ml.config.schema import IMBALANCED, RARE_ROWS
from ml.errors import BadInput
from ml.inspection.doubts import Doubt, doubts_of
from ml.inspection.exclusions import left_out
from ml.reading.columns import columns_of, converted
from ml.reading.labels import order, positive_of

if TYPE_CHECKING:
    import pandas as pd

    from ml.reading.csv_dialect import Dialect
    from ml.reading.tables import RawTable
    from ml.values import Column as Reading


@dataclass(frozen=True)
class Column:
    """What was found out about one column.

    Attributes:
        rule: Its entry in the data contract, in the order in which it is written.
        comment: What the rule was made from.
        missing: How many rows have no value.
        distinct: How many different values there are.
        drop_because: Why the model should not learn from it; empty if it should.
        rare: How many of its categories have fewer than `RARE_ROWS` rows.
        doubts: What looks wrong in it and was left as it is.
    """

    name: str
    rule: dict[str, Any]
    comment: str
    missing: int = 0
    distinct: int = 0
    drop_because: str = ""
    rare: int = 0
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """A table and its target, as `pipeline.yaml` describes them."""

    source: str
    target: str
    positive: Any
    negative: Any
    columns: tuple[Column, ...]
    rows: int
    positives: int
    dialect: Dialect | None
    notes: tuple[str, ...]


def inspect_table(raw: RawTable, target: str, source: str) -> Inspection:
    """Looks at every column of a table, which messages call `source`, by the rules of a run without a contract.

    Raises:
        BadInput: The target is not there, has missing values, or has other than two values.
    """
    frame = raw.frame
    if target not in frame.columns:
        near = difflib.get_close_matches(target, map(str, frame.columns), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(str, frame.columns))}"
        raise BadInput(f"{source} has no column {target!r}: {hint}")
    config = parse_config({"data": {"target": target, "drop": []}, "schema": {}})
    readings = columns_of(frame, config, raw.commas)
    typed = {name: converted(frame[name], reading, raw.commas)[0] for name, reading in readings.items()}
    counts = _labels(typed[target], target, source)
    positive = positive_of(counts)
    candidates = {name: (typed[name], reading.type) for name, reading in readings.items() if name != target}
    whys = left_out(candidates, typed[target] == positive)
    columns = tuple(
        _target_column(frame[name], reading, sorted(counts, key=order))
        if name == target
        else _column(typed[name], reading, whys.get(name, ""), doubts_of(typed[name], reading, raw.commas))
        for name, reading in readings.items()
    )
    repeated = int(frame.duplicated().sum())
    note = (
        f"{repeated:,} of {len(frame):,} rows stand there more than once: a row in both parts flatters every "
        "metric, so remove repeated rows unless each is an observation of its own"
    )
    return Inspection(
        source=source,
        target=target,
        positive=positive,
        negative=next(label for label in counts if label != positive),
        columns=columns,
        rows=len(frame),
        positives=counts[positive],
        dialect=raw.dialect and _written(raw.dialect, readings, frame),
        notes=(*raw.notes, note) if repeated else raw.notes,
    )


def _labels(values: pd.Series[Any], target: str, source: str) -> dict[Any, int]:
    missing = int(values.isna().sum())
    if missing:
        raise BadInput(f"{source}: the target {target!r} is missing in {missing} rows: fill or remove them")
    counts = {_plain(label): count for label, count in values.value_counts().to_dict().items()}
    if len(counts) != 2:
        shown = ", ".join(map(str, sorted(counts, key=order)[:5])) + (", ..." if len(counts) > 5 else "")
        raise BadInput(f"{source}: the target {target!r} has {len(counts)} values ({shown}): it must have two")
    return counts


def _plain(label: Any) -> Any:
    return int(label) if isinstance(label, float) and label.is_integer() else label


def _written(dialect: Dialect, readings: dict[str, Reading], frame: pd.DataFrame) -> Dialect:
    """How the file is written, its decimal mark as its numbers show it."""
    numbers = (frame[name] for name, reading in readings.items() if reading.type == "number")
    commas = dialect.commas and any(cells.astype(str).str.contains(",", regex=False).any() for cells in numbers)
    return replace(dialect, decimal="," if commas else ".")


def _target_column(values: pd.Series[Any], reading: Reading, labels: list[Any]) -> Column:
    blanks = sum(isinstance(cell, str) and cell != cell.strip() != "" for cell in values)
    doubts = (Doubt(f"{blanks} labels have blanks around them, which do not count"),) if blanks else ()
    rule = {"type": reading.type, "allowed": labels}
    return Column(reading.name, rule, "the target", 0, len(labels), doubts=doubts)


def _column(typed: pd.Series[Any], reading: Reading, why: str, doubted: list[Doubt]) -> Column:
    kind = reading.type
    rule: dict[str, Any] = {"type": kind}
    present = typed.dropna()
    distinct, missing, rare = present.nunique(), int(typed.isna().sum()), 0
    comment = f"{distinct} different values"
    if kind in ("number", "integer") and len(present):
        comment = f"{present.min():g} to {present.max():g}, mean {present.mean():g}"
        if present.min() >= 0:
            rule["minimum"] = 0
    elif kind in ("category", "boolean") and len(present):
        texts = present.map({1.0: "true", 0.0: "false"}) if kind == "boolean" else present
        counts = texts.value_counts()
        rare = int((counts < RARE_ROWS).sum()) if kind == "category" else 0
        shown = ", ".join(scalar(value[:30]) for value in counts.index[:3])
        comment = f"{shown}{', ...' if distinct > 3 else ''}" + (f"; {rare} rare" if rare else "")
    rule["nullable"] = bool(missing)
    # What is left out for what it is needs no second word, unless that word would let it in.
    doubts = tuple(doubt for doubt in doubted if doubt.rule or not why)
    if why and kind == "string" and doubts:
        why = doubts[0].words
    return Column(reading.name, rule, comment, missing, distinct, why, rare, doubts)


def balance_text(table: Inspection) -> str:
    """How many rows have each label, in words."""
    counts = ((table.positive, table.positives), (table.negative, table.rows - table.positives))
    return ", ".join(f"{scalar(label)} {count} ({count / table.rows:.1%})" for label, count in counts)


HEADINGS = ("column", "type", "missing", "distinct", "found", "use")
"""What `findings` has in its rows."""


def findings(table: Inspection) -> list[list[str]]:
    """What was found out about each column, as rows of a table under `HEADINGS`."""
    return [
        [
            column.name,
            column.rule["type"],
            f"{column.missing} ({column.missing / table.rows:.1%})" if column.missing else "-",
            str(column.distinct),
            column.comment,
            "target" if column.name == table.target else f"no: {column.drop_because}" if column.drop_because else "yes",
        ]
        for column in table.columns
    ]


def remarks(table: Inspection) -> list[str]:
    """What was decided or should be thought about, one line each."""
    lines = []
    if table.dialect is not None:
        lines.append(f"the file is separated by {table.dialect}, its decimal mark is {table.dialect.decimal!r}")
    lines.append(f"target {table.target!r}: {balance_text(table)}; {scalar(table.positive)} counts as 1")
    rarer = min(table.positives, table.rows - table.positives) / table.rows
    if rarer < IMBALANCED:
        lines.append(
            f"imbalanced: the rarer label has {rarer:.1%} of the rows; both parts keep the balance, and "
            "model.parameters.class_weight: balanced makes it count more (at the cost of calibrated probabilities)"
        )
    if any(column.rare and not column.drop_because for column in table.columns):
        lines.append(f"rare categories (fewer than {RARE_ROWS} rows) are taken together: preprocessing.min_frequency")
    return [*lines, *table.notes, *(doubt_text(column, doubt) for column in table.columns for doubt in column.doubts)]


def doubt_text(column: Column, doubt: Doubt) -> str:
    """A doubt as one line, with what to write in the yaml."""
    written = f"{scalar(column.name)}: {doubt.words}"
    return f"{written}; if that is what it is, write {{{doubt.rule}}}" if doubt.rule else written


def scalar(value: Any) -> str:
    """A value as YAML writes it on one line."""
    # JSON's strings and numbers are YAML's too, and quoting always spares the question when one must.
    written = json.dumps(value, ensure_ascii=False, default=str)
    # YAML takes no control characters of the second kind either, and an editor shows none.
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in written)


def model_name_of(stem: str) -> str:
    """A registered model's name from a file's name.

    >>> model_name_of("Bank Customers (2024)")
    'bank-customers-2024'
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._").lower()
    return name[:100] or "model"
