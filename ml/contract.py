"""Whether a table keeps the declared contract, with every violation named. Pure."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ml.config import ColumnRule, PipelineConfig
from ml.errors import ContractViolation

if TYPE_CHECKING:
    import pandas as pd

MIN_ROWS = 20
_SHOWN = 5


def check(frame: pd.DataFrame, config: PipelineConfig, source: str) -> pd.DataFrame:
    """Checks a table against the contract and the needs of training.

    Args:
        frame: Raw rows as they were read.
        config: Its `schema` is the contract, its `data` names target and features.
        source: What the table is called in the message.

    Returns:
        A new table: columns of the contract have its types, the target is as it was.

    Raises:
        ContractViolation: Anything is wrong; each violation is named with column, rule, count and first rows.
    """
    problems = _target_problems(frame, config)
    coerced, found = _schema_problems(frame, config.contract)
    # The target's own rule says less than what training needs of it, so one word about it is enough.
    named = {column for column, _ in problems}
    problems += [(column, text) for column, text in found if column not in named]
    problems += _feature_problems(frame, config, {column for column, _ in problems})
    problems += _infinite(coerced, {column for column, _ in problems})
    if len(frame) < MIN_ROWS:
        problems.append(("", f"{len(frame)} rows where training needs at least {MIN_ROWS}"))
    if problems:
        told = "; ".join(text for _, text in problems[:20])
        more = f"; and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise ContractViolation(f"{source}: {told}{more}. Correct the file, or the contract in pipeline.yaml")
    return coerced


def target_labels(frame: pd.DataFrame, config: PipelineConfig) -> tuple[Any, Any]:
    """The two labels of the target, the negative one first."""
    labels = sorted(frame[config.data.target].dropna().unique().tolist(), key=_order)
    positive = config.data.positive
    if positive is None:
        return labels[0], labels[1]
    matching = [label for label in labels if _same(label, positive)]
    return next(label for label in labels if label not in matching), matching[0]


def _order(label: Any) -> tuple[int, Any]:
    # "no" before "yes", "false" before "true" and 0 before 1 all follow from the ordinary order.
    return (1, label.casefold()) if isinstance(label, str) else (0, label)


def _same(label: Any, wanted: Any) -> bool:
    if isinstance(label, str) or isinstance(wanted, str):
        return str(label) == str(wanted)
    return bool(label == wanted)


def as_text(column: pd.Series) -> pd.Series:
    """A column's values as text, missing ones as NaN.

    A code such as 3 is the text `3`, also where a missing value elsewhere in the column made it 3.0: the same code must
    be the same category in training, in a table to score, and in a request.
    """
    import numpy as np

    found: pd.Series = column.dropna().map(_code).astype(object).reindex(column.index, fill_value=np.nan)
    return found


def _code(value: Any) -> str:
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return str(int(value)) if is_whole else str(value)


def _target_problems(frame: pd.DataFrame, config: PipelineConfig) -> list[tuple[str, str]]:
    target, positive = config.data.target, config.data.positive
    if target not in frame.columns:
        columns = ", ".join(map(repr, list(frame.columns)[:12]))
        return [(target, f"the target column {target!r} is missing (the columns are {columns})")]
    problems = []
    missing = frame.index[frame[target].isna()]
    if len(missing):
        problems.append((target, f"the target {target!r} has {len(missing)} missing values ({_rows(missing)})"))
    labels = frame[target].dropna().unique()
    if len(labels) != 2:
        shown = ", ".join(map(repr, labels[:5].tolist())) or "none"
        problems.append((target, f"the target {target!r} has {len(labels)} different values ({shown}), not two"))
    elif positive is not None and not any(_same(label, positive) for label in labels.tolist()):
        problems.append((target, f"no row has the positive label {positive!r} in {target!r}, but {labels.tolist()}"))
    elif min(counts := frame[target].value_counts().tolist()) < 2:
        problems.append((target, f"one class of the target {target!r} has {min(counts)} row, and both need two"))
    return problems


def _feature_problems(frame: pd.DataFrame, config: PipelineConfig, named: set[str]) -> list[tuple[str, str]]:
    features = config.data.features
    if features == "auto":
        return []
    problems = [
        (column, f"the feature {column!r} is missing")
        for column in features
        if column not in frame.columns and column not in named
    ]
    if config.data.target in features:
        problems.append((config.data.target, f"the target {config.data.target!r} is listed as a feature"))
    return problems


def _infinite(frame: pd.DataFrame, named: set[str]) -> list[tuple[str, str]]:
    """Columns with infinite numbers, which no scaler takes, whether or not there is a contract for them."""
    import numpy as np

    problems = []
    for column in frame.select_dtypes("float").columns:
        rows = frame.index[np.isinf(frame[column].to_numpy(dtype="float64", na_value=np.nan))]
        if len(rows) and column not in named:
            problems.append((column, _violation(column, "finite numbers", "inf", rows)))
    return problems


def _schema_problems(
    frame: pd.DataFrame, contract: dict[str, ColumnRule]
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    import pandera.pandas as pa

    coerced, problems, columns = frame.copy(), [], {}
    for name, rule in contract.items():
        if name not in frame.columns:
            problems.append((name, f"column {name!r} is missing"))
            continue
        converted, wrong = _coerce(frame[name], rule)
        if wrong is not None:
            problems.append((name, _violation(name, f"type {rule.type}", str(wrong.name), wrong.index)))
            continue
        coerced[name] = converted
        columns[name] = pa.Column(checks=_checks(rule), nullable=rule.nullable, unique=rule.unique)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pa.DataFrameSchema(columns, strict=False).validate(coerced, lazy=True)
    except pa.errors.SchemaErrors as error:
        problems += _told(error.failure_cases)
    return coerced, problems


def _checks(rule: ColumnRule) -> list[Any]:
    import pandera.pandas as pa

    checks = []
    if rule.minimum is not None:
        checks.append(pa.Check.ge(rule.minimum, error=f"at least {rule.minimum:g}"))
    if rule.maximum is not None:
        checks.append(pa.Check.le(rule.maximum, error=f"at most {rule.maximum:g}"))
    if rule.allowed is not None:
        is_text = rule.type in ("category", "string")
        allowed = [_code(value) for value in rule.allowed] if is_text else list(rule.allowed)
        checks.append(pa.Check.isin(allowed, error=f"one of {', '.join(map(str, allowed))}"))
    return checks


def _told(cases: pd.DataFrame) -> list[tuple[str, str]]:
    rules = {"not_nullable": "no missing value", "field_uniqueness": "no value twice"}
    problems = []
    for (column, check), group in cases.groupby(["column", "check"], sort=False):
        shown = ", ".join(map(str, group["failure_case"].dropna().unique()[:3]))
        rule = rules.get(str(check), str(check))
        problems.append((str(column), _violation(str(column), rule, shown, group["index"])))
    return problems


def _violation(column: str, rule: str, shown: str, rows: Any) -> str:
    values = f": {shown}" if shown else ""
    return f"column {column!r} breaks the rule '{rule}' {len(rows)} times{values} ({_rows(rows)})"


def _rows(index: Any) -> str:
    # Rows of data are counted from 1, as people do; the header is not one of them.
    numbers = [int(row) + 1 for row in list(index)[:_SHOWN] if row is not None and row == row]
    dots = ", ..." if len(index) > _SHOWN else ""
    return f"row {', '.join(map(str, numbers))}{dots}" if numbers else "no row"


def _coerce(column: pd.Series, rule: ColumnRule) -> tuple[pd.Series, pd.Series | None]:
    """The column in the rule's type; or the values that are not of it, under a name that shows the first few."""
    import pandas as pd

    if rule.type in ("category", "string"):
        return as_text(column), None
    if rule.type == "datetime":
        converted = pd.to_datetime(column, errors="coerce", format="mixed")
        # The dates stay text: they are checked, not learned from, and a table of text is the same everywhere.
        return column, _not_converted(column, converted.isna())
    if pd.api.types.is_datetime64_any_dtype(column):
        return column, _not_converted(column, column.notna())
    source = column.astype(str).str.lower().map(_TRUTHS).where(column.notna()) if _is_boolean(column) else column
    converted = pd.to_numeric(source, errors="coerce")
    infinite = converted.abs() == float("inf")
    wrong = _not_converted(column, converted.isna() | infinite)
    if wrong is None and rule.type in ("integer", "boolean"):
        wrong = _not_converted(column, (converted % 1 != 0) & converted.notna())
    if wrong is None and rule.type == "boolean":
        wrong = _not_converted(column, ~converted.isin([0, 1]) & converted.notna())
    if wrong is not None:
        return column, wrong
    whole = rule.type in ("integer", "boolean") and not converted.isna().any()
    return converted.astype("int64" if whole else "float64"), None


_TRUTHS = {"true": 1, "false": 0}


def _is_boolean(column: pd.Series) -> bool:
    return bool(column.dropna().astype(str).str.lower().isin(_TRUTHS).all()) and bool(column.notna().any())


def _not_converted(column: pd.Series, failed: pd.Series) -> pd.Series | None:
    wrong = column[failed & column.notna()]
    if wrong.empty:
        return None
    return wrong.rename(", ".join(repr(str(value)[:40]) for value in wrong.unique()[:3]))
