"""The commented `pipeline.yaml` for a table that was inspected: every key that one may want to change. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.config.promotion import PromotionConfig
from ml.inspection.inspect import Column, Inspection, balance_text, doubt_text, scalar

if TYPE_CHECKING:
    from ml.reading.csv_dialect import Dialect


def pipeline_yaml(table: Inspection, model_name: str, uri: str = "", file: str = "") -> str:
    """The text of a `pipeline.yaml` for the table: every key that one may want to change, with what it means.

    `uri` is the data's address, empty where it is not in the bucket yet; `file` is where it is, seen from the file that
    is written, empty where `--data` is to name it.
    """
    dropped = [column for column in table.columns if column.drop_because]
    lines = [
        f"# Trackyard's pipeline for {scalar(table.source)} ({table.rows} rows; {balance_text(table)}).",
        "# Written by 'trackyard init'. Read it, correct what was guessed wrong, then:",
        "#   trackyard run --config THIS-FILE" + ("" if uri or file else " --data YOUR-DATA"),
        "",
        "data:",
        _uri_line(uri),
        *([f"  file: {scalar(file)}  # 'trackyard run' puts it into the bucket"] if file and not uri else []),
        f"  target: {scalar(table.target)}",
        f"  positive: {scalar(table.positive)}  # the label that counts as 1; {scalar(table.negative)} counts as 0",
        "  features: auto                 # every column of the schema but the target and those below",
        "  drop:" + ("" if dropped else " []"),
        *(f"    - {scalar(column.name)}  # {column.drop_because}" for column in dropped),
        "  max_bytes: 209715200           # the largest file, in bytes, also when unpacked",
        "  max_rows: 2000000",
        "  missing: null                  # what means missing besides NA, null and the like: [\"?\", \"-999\"]",
        *_csv_lines(table.dialect),
        "",
        "# The data contract: a run stops before training when the data breaks it.",
        "# type: number, integer, boolean, category, string or datetime; also minimum, maximum, allowed, unique,",
        "# missing (texts), unit and thousands (of numbers).",
        "schema:",
        *(line for column in table.columns for line in _column_lines(column)),
        "",
        *_TAIL.format(
            model=scalar(model_name), metric=PromotionConfig().metric, balance=balance_text(table)
        ).splitlines(),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _column_lines(column: Column) -> list[str]:
    """A column's rule, and below it what looks wrong, with the rule to write instead if it is so."""
    missing = f", {column.missing} missing" if column.missing else ""
    doubts = [f"  #   {doubt_text(column, doubt)}" for doubt in column.doubts]
    return [f"  {scalar(column.name)}: {_flow(column.rule)}  # {column.comment}{missing}", *doubts]


def _uri_line(uri: str) -> str:
    if uri:
        return f"  uri: {scalar(uri)}  # where 'trackyard init --add' put it"
    return "  uri: \"\"                        # an s3:// address (see 'trackyard data add'), or give --data"


def _csv_lines(dialect: Dialect | None) -> list[str]:
    if dialect is None:
        return []
    written = f"{{delimiter: {scalar(dialect.delimiter)}, decimal: {scalar(dialect.decimal)}}}"
    return [f"  csv: {written}  # as the file is written; auto finds it out each time"]


_TAIL = """\
split:
  test_size: 0.3                 # the fraction of rows that training never sees
  random_state: 42               # the same seed and data give the same split
  stratify: auto                 # keep the class balance in both parts: true, false, or auto (if one class is rare)

preprocessing:
  scalers: [minmax, standard]    # side by side; one of them is enough for most data
  impute: median                 # what fills a missing number: median, mean or most_frequent
  min_frequency: auto            # categories with fewer rows are taken together; auto: 5 if there are any, else 1

model:
  name: {model}  # the experiment and the registered model
  estimator: LogisticRegression  # or HistGradientBoostingClassifier, RandomForestClassifier
  parameters:                    # by scikit-learn's names
    C: 1.0
    max_iter: 100
    class_weight: null           # balanced makes the rarer label count more; found: {balance}

promotion:
  metric: {metric}          # champion if not worse than the champion on the same held-out rows
  tolerance: 0.0                 # ... by more than this

notification:
  to: [team@trackyard.local]
  on_success: true
  on_failure: true"""


def _flow(rule: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value if key == 'type' else scalar(value)}" for key, value in rule.items()) + "}"
