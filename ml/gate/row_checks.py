"""The gate's checks of parts and single columns: leaks, slices, behaviour. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ml.config.promotion import BehaviourRule, GateConfig, SliceRule
from ml.evaluation import leakage
from ml.evaluation.bootstrap import Array
from ml.evaluation.metrics import metric_of, probabilities
from ml.gate.checks import against
from ml.gate.verdict import Check, Evidence, plain

_FEW_VALUES = 10


def leaks(evidence: Evidence, gate: GateConfig) -> list[Check]:
    """Whether a feature alone tells the target almost surely, as the target in disguise does."""
    if gate.leak is None:
        return []
    name = "no leaked target"
    least = int(min(evidence.target.sum(), (1 - evidence.target).sum()))
    if least < leakage.LEAST_OF_A_CLASS:
        return [Check(name, "unsure", f"one class has {least} held-out rows, too few to tell a leak from luck")]
    aucs = {column: _alone(evidence, column) for column in evidence.features.columns}
    worst = max(aucs, key=lambda column: aucs[column])
    figures = {"features": {column: round(auc, 6) for column, auc in aucs.items()}, "most": gate.leak}
    words = f"{worst!r} alone tells the target best, with ROC AUC {aucs[worst]:.4f}"
    if aucs[worst] > gate.leak:
        above = ", ".join(repr(column) for column, auc in aucs.items() if auc > gate.leak)
        words = (
            f"{above} alone tells the target with ROC AUC {aucs[worst]:.4f}, above {gate.leak:g}: it looks like the "
            "target in disguise; drop it in data.drop, or raise promotion.gate.leak"
        )
        return [Check(name, "failed", words, figures)]
    return [Check(name, "passed", words, figures)]


def _alone(evidence: Evidence, column: str) -> float:
    """On all rows, as `trackyard init` and a run without a contract ask: the same rows have the same answer."""
    values = pd.concat([evidence.known[column], evidence.features[column]], ignore_index=True)
    return leakage.alone(values, np.concatenate([evidence.known.iloc[:, -1], evidence.target]))


def slices(evidence: Evidence, rule: SliceRule) -> Iterator[Check]:
    """A check for each part of the held-out rows by one column."""
    if rule.column not in evidence.rows.columns:
        yield Check(f"slice {rule.column}", "failed", f"the data has no column {rule.column!r} to cut slices by")
        return
    for label, rows in _parts(evidence.rows[rule.column], rule.bins):
        name, count = f"slice {label}", int(rows.sum())
        value = metric_of(rule.metric, evidence.target[rows], evidence.probability[rows])
        figures = {"rows": count, "value": plain(value), "floor": rule.floor}
        if count < rule.min_rows or not np.isfinite(value):
            yield Check(name, "unsure", f"{label} has {count} held-out rows, too few to tell", figures)
            continue
        status, verb = against(rule.metric, value, rule.floor)
        words = f"{rule.metric} {value:.4f} of the {count} rows with {label} {verb} the floor of {rule.floor:g}"
        yield Check(name, status, words, figures)


def _parts(values: pd.Series, bins: int) -> Iterator[tuple[str, Any]]:
    """Each part of a column and the rows in it: quantile bins of numbers, each value of anything else."""
    column = values.name
    if values.isna().any():
        yield f"{column} missing", values.isna().to_numpy()
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > _FEW_VALUES:
        for interval, rows in values.groupby(pd.qcut(values, bins, duplicates="drop"), observed=True):
            yield f"{column} in {interval}", values.index.isin(rows.index)
        return
    for value in sorted(values.dropna().unique().tolist(), key=str):
        yield f"{column} = {value}", (values == value).to_numpy()


def behaviour(evidence: Evidence, rule: BehaviourRule) -> Check:
    """Whether the probability answers a change of one column as declared."""
    name = f"{rule.check} of {rule.column}"
    if rule.column not in evidence.features.columns:
        return Check(name, "failed", f"{rule.column!r} is no feature, so its {rule.check} cannot be checked")
    if evidence.features[rule.column].isna().all():
        return Check(name, "unsure", f"no held-out row has a value of {rule.column!r} to change")
    if rule.check == "invariance":
        changes = (probabilities(evidence.pipeline, other) for other in _others(evidence.features, rule.column))
        moved = max(float(np.abs(change - evidence.probability).mean()) for change in changes)
        figures = {"moved": moved, "most": rule.tolerance}
        words = f"changing {rule.column!r} moves the probability by {moved:.4f} on average"
        if moved > rule.tolerance:
            return Check(name, "failed", f"{words}, more than {rule.tolerance:g}", figures)
        return Check(name, "passed", f"{words}, at most {rule.tolerance:g}", figures)
    return _direction(evidence, rule, name)


def _others(features: pd.DataFrame, column: str) -> Iterator[pd.DataFrame]:
    """The rows with another value in the column: each of a few values for all, or other rows' values."""
    now = features[column]
    values = now.dropna().unique().tolist()
    shuffled = np.random.default_rng(0).permutation(now.to_numpy()).tolist()
    others = [[value] * len(now) for value in values] if len(values) <= _FEW_VALUES else [shuffled]
    for other in others:
        # The type is named, since pandas would make its own text type of what the model was fitted on as plain objects.
        yield features.assign(**{column: pd.Series(other, index=now.index, dtype=now.dtype)})


def _direction(evidence: Evidence, rule: BehaviourRule, name: str) -> Check:
    column = evidence.features[rule.column]
    if column.dtype.kind != "f":
        return Check(name, "failed", f"{rule.column!r} is no number, so it has no direction")
    step = rule.step or float(column.std()) or 1.0
    change: Array = probabilities(evidence.pipeline, evidence.features.assign(**{rule.column: column + step}))
    change = change - evidence.probability
    wrong = float((change < -1e-9 if rule.effect == "up" else change > 1e-9).mean())
    # A model that ignores the column goes nowhere, which is not what was declared either.
    still = float(np.abs(change).max()) <= 1e-9
    figures = {"against": wrong, "most": rule.tolerance, "step": step, "mean_change": float(change.mean())}
    words = f"{rule.column!r} raised by {step:g} moves the probability {rule.effect} but for {wrong:.1%} of the rows"
    if wrong > rule.tolerance or still:
        more = "it does not move at all" if still else f"more than {rule.tolerance:.1%}"
        return Check(name, "failed", f"{words}: {more}", figures)
    return Check(name, "passed", words, figures)
