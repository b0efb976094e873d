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

from ml.config_schema import PromotionConfig
from ml.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

MAX_CATEGORIES = 50
"""A text column with more different values than this identifies rows rather than describing them."""


@dataclass(frozen=True)
class Column:
    """What was found out about one column.

    Attributes:
        name: Its name.
        rule: Its entry in the data contract, in the order in which it is written.
        comment: What the rule was made from.
        drop_because: Why the model should not learn from it; empty if it should.
    """

    name: str
    rule: dict[str, Any]
    comment: str
    drop_because: str = ""


@dataclass(frozen=True)
class Inspection:
    """A table and its target, as `pipeline.yaml` describes them."""

    source: str
    rows: int
    target: str
    positive: Any
    labels: tuple[Any, Any]
    columns: tuple[Column, ...]


def inspect_table(frame: pd.DataFrame, target: str, source: str) -> Inspection:
    """Looks at every column of a table.

    Args:
        frame: Raw rows.
        target: The column to predict.
        source: What to call the table.

    Raises:
        BadInput: The target is not there, has missing values, or has other than two values.
    """
    labels = _labels(frame, target, source)
    columns = tuple(_column(frame[name], is_target=name == target) for name in frame.columns)
    return Inspection(source, len(frame), target, _positive(labels), labels, columns)


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


def _column(values: pd.Series[Any], *, is_target: bool) -> Column:
    name = str(values.name)
    kind = _kind(values)
    rule: dict[str, Any] = {"type": kind}
    comment = f"{values.nunique()} different values"
    if is_target:
        rule["allowed"] = sorted((_plain(value) for value in values.unique()), key=str)
        return Column(name, rule, "the target")
    present = values.dropna()
    if kind in ("number", "integer") and len(present):
        comment = f"found {_plain(present.min()):g} to {_plain(present.max()):g}, mean {float(present.mean()):g}"
        if present.min() >= 0:
            rule["minimum"] = 0
    missing = int(values.isna().sum())
    rule["nullable"] = bool(missing)
    if missing:
        comment += f", {missing} missing"
    return Column(name, rule, comment, _why_drop(values, kind))


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


def _why_drop(values: pd.Series[Any], kind: str) -> str:
    distinct = values.nunique()
    if kind == "string":
        return f"text with {distinct} different values"
    if kind == "datetime":
        return "a moment, not a property"
    if distinct <= 1:
        return "always the same"
    if distinct == len(values) and kind == "integer" and re.search(r"(^|[_ -])id$|^index$", str(values.name), re.I):
        return "a number for each row"
    return ""


def pipeline_yaml(found: Inspection, model_name: str) -> str:
    """The text of a `pipeline.yaml` for the table: every key that one may want to change, with what it means."""
    dropped = [column for column in found.columns if column.drop_because]
    negative = next(label for label in found.labels if label != found.positive)
    lines = [
        f"# Trackyard's pipeline for {found.source} ({found.rows} rows).",
        "# Written by 'trackyard init'. Read it, correct what was guessed wrong, then:",
        "#   trackyard run --config THIS-FILE --data YOUR-DATA",
        "",
        "data:",
        "  uri: \"\"                        # an s3:// address (see 'trackyard data add'), or give --data",
        f"  target: {_scalar(found.target)}",
        f"  positive: {_scalar(found.positive)}  # the label that counts as 1; {_scalar(negative)} counts as 0",
        "  features: auto                 # every column of the schema but the target and those below",
        "  drop:" + ("" if dropped else " []"),
        *(f"    - {_scalar(column.name)}  # {column.drop_because}" for column in dropped),
        "  max_bytes: 209715200           # the largest file, in bytes, also when unpacked",
        "  max_rows: 2000000",
        "",
        "# The data contract: a run stops before training when the data breaks it.",
        "# type: number, integer, boolean, category, string or datetime; also minimum, maximum, allowed, unique.",
        "schema:",
        *(f"  {_scalar(column.name)}: {_flow(column.rule)}  # {column.comment}" for column in found.columns),
        "",
        *_TAIL.format(model=_scalar(model_name), metric=PromotionConfig().metric).splitlines(),
    ]
    return "\n".join(lines) + "\n"


_TAIL = """\
split:
  test_size: 0.3                 # the fraction of rows that training never sees
  random_state: 42               # the same seed and data give the same split
  stratify: true                 # keep the class balance the same in both parts

preprocessing:
  scalers: [minmax, standard]    # side by side; one of them is enough for most data
  impute: median                 # what fills a missing number: median, mean or most_frequent
  min_frequency: 1               # categories with fewer rows are taken together

model:
  name: {model}  # the experiment and the registered model
  parameters:                    # scikit-learn's LogisticRegression
    C: 1.0
    max_iter: 1000

promotion:
  metric: {metric}          # champion if not worse than the champion on the same held-out rows
  tolerance: 0.0                 # ... by more than this

notification:
  to: [team@trackyard.local]
  on_success: true
  on_failure: true"""


def _scalar(value: Any) -> str:
    # JSON's strings and numbers are YAML's too, and quoting always spares the question when one must.
    return json.dumps(value, ensure_ascii=False, default=str)


def _flow(rule: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value if key == 'type' else _scalar(value)}" for key, value in rule.items()) + "}"


def model_name_of(stem: str) -> str:
    """A registered model's name from a file's name.

    >>> model_name_of("Bank Customers (2024)")
    'bank-customers-2024'
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._").lower()
    return name[:100] or "model"
