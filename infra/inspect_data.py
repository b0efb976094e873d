"""From somebody's table to a `pipeline.yaml` for it: the columns' types and ranges, as commented YAML. Pure.

`trackyard init` calls it. What is written is a start that its owner reads and corrects: every guess says what it was
made from.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.suspicions import why_not
from ml.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from ml.dialect import Dialect

MAX_CATEGORIES = 50
"""A text column with more different values than this identifies rows rather than describing them."""
RARE_ROWS = 5
"""A category with fewer rows than this says more of chance than of the target."""
IMBALANCED = 0.2
"""Where the rarer label has a smaller share of the rows than this, it is said."""


@dataclass(frozen=True)
class Column:
    """What was found out about one column.

    Attributes:
        name: Its name.
        rule: Its entry in the data contract, in the order in which it is written.
        comment: What the rule was made from.
        missing: How many rows have no value.
        distinct: How many different values there are.
        drop_because: Why the model should not learn from it; empty if it should.
        rare: How many of its categories have fewer than `RARE_ROWS` rows.
    """

    name: str
    rule: dict[str, Any]
    comment: str
    missing: int = 0
    distinct: int = 0
    drop_because: str = ""
    rare: int = 0


@dataclass(frozen=True)
class Inspection:
    """A table and its target, as `pipeline.yaml` describes them."""

    source: str
    rows: int
    target: str
    positive: Any
    labels: tuple[Any, Any]
    columns: tuple[Column, ...]
    positives: int = 0
    dialect: Dialect | None = None

    @property
    def has_rare(self) -> bool:
        """Whether a category that is learned from is so rare that it is better taken together with others."""
        return any(column.rare and not column.drop_because for column in self.columns)

    @property
    def minority(self) -> float:
        """The share of the rows that have the rarer label."""
        return min(self.positives, self.rows - self.positives) / self.rows


def inspect_table(frame: pd.DataFrame, target: str, source: str, dialect: Dialect | None = None) -> Inspection:
    """Looks at every column of a table.

    Args:
        frame: Raw rows.
        target: The column to predict.
        source: What to call the table.
        dialect: How its CSV file is written, None for Parquet.

    Raises:
        BadInput: The target is not there, has missing values, or has other than two values.
    """
    labels = _labels(frame, target, source)
    positive = _positive(labels)
    is_positive = frame[target] == positive
    columns = tuple(
        _target_column(frame[name]) if name == target else _column(frame[name], is_positive) for name in frame.columns
    )
    return Inspection(source, len(frame), target, positive, labels, columns, int(is_positive.sum()), dialect)


def _labels(frame: pd.DataFrame, target: str, source: str) -> tuple[Any, Any]:
    if target not in frame.columns:
        near = difflib.get_close_matches(target, map(str, frame.columns), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(str, frame.columns))}"
        raise BadInput(f"{source} has no column {target!r}: {hint}")
    missing = int(frame[target].isna().sum())
    if missing:
        raise BadInput(f"{source}: the target {target!r} is missing in {missing} rows: fill or remove them")
    values = sorted((_plain(value) for value in frame[target].unique()), key=str)
    if len(values) != 2:
        shown = ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
        raise BadInput(f"{source}: the target {target!r} has {len(values)} values ({shown}): it must have two")
    return values[0], values[1]


def _positive(labels: tuple[Any, Any]) -> Any:
    for label in labels:
        if str(label).strip().lower() in ("1", "1.0", "true", "yes", "y"):
            return label
    return labels[1]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _target_column(values: pd.Series[Any]) -> Column:
    allowed = sorted((_plain(value) for value in values.unique()), key=str)
    return Column(str(values.name), {"type": _kind(values), "allowed": allowed}, "the target", 0, len(allowed))


def _column(values: pd.Series[Any], is_positive: pd.Series[bool]) -> Column:
    kind = _kind(values)
    rule: dict[str, Any] = {"type": kind}
    present = values.dropna()
    distinct, missing, rare = present.nunique(), int(values.isna().sum()), 0
    comment = f"{distinct} different values"
    if kind in ("number", "integer") and len(present):
        comment = f"{_plain(present.min()):g} to {_plain(present.max()):g}, mean {float(present.mean()):g}"
        if present.min() >= 0:
            rule["minimum"] = 0
    elif kind in ("category", "boolean") and len(present):
        counts = present.astype(str).value_counts()
        rare = int((counts < RARE_ROWS).sum()) if kind == "category" else 0
        shown = ", ".join(scalar(value[:30]) for value in counts.index[:3])
        comment = f"{shown}{', ...' if distinct > 3 else ''}" + (f"; {rare} rare" if rare else "")
    rule["nullable"] = bool(missing)
    return Column(str(values.name), rule, comment, missing, distinct, why_not(values, kind, is_positive), rare)


def _kind(values: pd.Series[Any]) -> str:
    import pandas as pd

    present = values.dropna()
    if pd.api.types.is_bool_dtype(present.infer_objects()):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "datetime"
    if pd.api.types.is_numeric_dtype(values):
        # A whole-number column with a gap is read as floats.
        whole = len(present) > 0 and bool((present == present.round()).all())
        return "integer" if pd.api.types.is_integer_dtype(values) or whole else "number"
    if _are_dates(present):
        return "datetime"
    return "category" if present.nunique() <= MAX_CATEGORIES else "string"


def _are_dates(present: pd.Series[Any]) -> bool:
    import pandas as pd

    sample = present.astype(str).head(200)
    if not len(sample) or not sample.str.contains(r"^\d{4}-\d{2}-\d{2}|^\d{1,2}[./]\d{1,2}[./]\d{2,4}").all():
        return False
    return bool(pd.to_datetime(sample, errors="coerce", format="mixed").notna().all())


def balance_text(found: Inspection) -> str:
    """How many rows have each label, in words."""
    negative = next(label for label in found.labels if label != found.positive)
    counts = ((found.positive, found.positives), (negative, found.rows - found.positives))
    return ", ".join(f"{scalar(label)} {count} ({count / found.rows:.1%})" for label, count in counts)


HEADINGS = ("column", "type", "missing", "distinct", "found", "use")
"""What `findings` has in its rows."""


def findings(found: Inspection) -> list[list[str]]:
    """What was found out about each column, as rows of a table under `HEADINGS`."""
    return [
        [
            column.name,
            column.rule["type"],
            f"{column.missing} ({column.missing / found.rows:.1%})" if column.missing else "-",
            str(column.distinct),
            column.comment,
            "target" if column.name == found.target else f"no: {column.drop_because}" if column.drop_because else "yes",
        ]
        for column in found.columns
    ]


def remarks(found: Inspection) -> list[str]:
    """What was decided or should be thought about, one line each."""
    lines = []
    if found.dialect is not None:
        lines.append(f"the file is separated by {found.dialect}, its decimal mark is {found.dialect.decimal!r}")
    lines.append(f"target {found.target!r}: {balance_text(found)}; {scalar(found.positive)} counts as 1")
    if found.minority < IMBALANCED:
        lines.append(
            f"imbalanced: the rarer label has {found.minority:.1%} of the rows; both parts keep the balance, and "
            "model.parameters.class_weight: balanced makes it count more (at the cost of calibrated probabilities)"
        )
    if found.has_rare:
        lines.append(f"rare categories (fewer than {RARE_ROWS} rows) are taken together: preprocessing.min_frequency")
    return lines


def scalar(value: Any) -> str:
    """A value as YAML writes it on one line."""
    # JSON's strings and numbers are YAML's too, and quoting always spares the question when one must.
    return json.dumps(value, ensure_ascii=False, default=str)


def model_name_of(stem: str) -> str:
    """A registered model's name from a file's name.

    >>> model_name_of("Bank Customers (2024)")
    'bank-customers-2024'
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._").lower()
    return name[:100] or "model"
