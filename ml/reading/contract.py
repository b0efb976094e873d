"""A raw table as values, by the declared contract, with every violation of it named. Pure."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml.config.schema import ColumnRule, PipelineConfig
from ml.errors import ContractViolation
from ml.reading.columns import columns_of, converted
from ml.reading.labels import positive_of, same
from ml.values import Column, text_of

if TYPE_CHECKING:
    import pandas as pd

MIN_ROWS = 20
_SHOWN = 5


def check(
    frame: pd.DataFrame,
    config: PipelineConfig,
    source: str,
    columns: Mapping[str, Column] | None = None,
    commas: bool = False,
) -> pd.DataFrame:
    """Reads a table by the contract, and checks it against that and the needs of training.

    The frame has raw rows as they were read: texts (with a decimal comma if `commas`), or typed columns; messages call
    it `source`. How each column is read is as `columns_of` says where `columns` is None.

    Returns:
        A new table of values: numbers (whole ones without a gap as int64), texts as objects, missing ones as NaN.

    Raises:
        ContractViolation: Anything is wrong; each violation is named with column, rule, count and first rows.
    """
    import pandas as pd

    columns = columns_of(frame, config, commas) if columns is None else columns
    typed, wrong_types = {}, []
    for name, column in columns.items():
        typed[name], wrong = converted(frame[name], column, commas)
        if column.type == "integer":
            wrong = wrong | (typed[name] % 1 > 0).to_numpy()
        if wrong.any():
            wrong_types.append((name, _wrong_type(frame[name][wrong], column.type)))
        elif column.type in ("integer", "boolean") and not typed[name].isna().any():
            typed[name] = typed[name].astype("int64")
    table = pd.DataFrame(typed, index=frame.index)
    target = _target_problems(table, config)
    rules = {name: rule for name, rule in config.contract.items() if name not in dict(wrong_types)}
    others = [*wrong_types, *_schema_problems(table, rules)]
    # The target's own rule says less than what training needs of it, so one word about it is enough.
    problems = [*target, *(each for each in others if each[0] not in dict(target))]
    problems += _feature_problems(frame, config, {name for name, _ in problems})
    if len(frame) < MIN_ROWS:
        problems.append(("", f"{len(frame)} rows where training needs at least {MIN_ROWS}"))
    if problems:
        shown = "; ".join(text for _, text in problems[:20])
        more = f"; and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise ContractViolation(f"{source}: {shown}{more}. Correct the file, or the contract in pipeline.yaml")
    return table


def target_labels(frame: pd.DataFrame, config: PipelineConfig) -> tuple[Any, Any]:
    """The two labels of the target, the negative one first: as declared, or as `ml.reading.labels` guesses."""
    counts = frame[config.data.target].value_counts().to_dict()
    wanted = config.data.positive
    positive = positive_of(counts) if wanted is None else next(each for each in counts if same(each, wanted))
    return next(label for label in counts if label is not positive), positive


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
    elif positive is not None and not any(same(label, positive) for label in labels.tolist()):
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


def _schema_problems(table: pd.DataFrame, contract: dict[str, ColumnRule]) -> list[tuple[str, str]]:
    import pandera.pandas as pa

    problems, columns = [], {}
    for name, rule in contract.items():
        if name not in table.columns:
            problems.append((name, f"column {name!r} is missing"))
            continue
        if rule.type == "datetime" and len(undated := _not_dates(table[name])):
            problems.append((name, _wrong_type(undated, rule.type)))
            continue
        columns[name] = pa.Column(checks=_checks(rule, table[name]), nullable=rule.nullable, unique=rule.unique)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pa.DataFrameSchema(columns, strict=False).validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        problems += _broken_rules(error.failure_cases)
    return problems


def _checks(rule: ColumnRule, values: pd.Series) -> list[Any]:
    import pandera.pandas as pa

    checks = []
    if rule.minimum is not None:
        checks.append(pa.Check.ge(rule.minimum, error=f"at least {rule.minimum:g}"))
    if rule.maximum is not None:
        checks.append(pa.Check.le(rule.maximum, error=f"at most {rule.maximum:g}"))
    if rule.allowed is not None:
        allowed = [text_of(value) for value in rule.allowed] if values.dtype == object else list(rule.allowed)
        checks.append(pa.Check.isin(allowed, error=f"one of {', '.join(map(str, allowed))}"))
    return checks


def _broken_rules(cases: pd.DataFrame) -> list[tuple[str, str]]:
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
    numbers = ", ".join(str(int(row) + 1) for row in list(index)[:_SHOWN])
    return f"row {numbers}{', ...' if len(index) > _SHOWN else ''}"


def _wrong_type(cells: pd.Series, kind: str) -> str:
    shown = ", ".join(repr(text[:40]) for text in list(dict.fromkeys(map(str, cells)))[:3])
    return _violation(str(cells.name), f"type {kind}", shown, cells.index)


def _not_dates(values: pd.Series) -> pd.Series:
    """The texts that are no moments; those that are stay text, since they are checked and not learned from."""
    import pandas as pd

    moments = pd.to_datetime(values, errors="coerce", format="mixed", utc=True)
    return values[moments.isna() & values.notna()]
