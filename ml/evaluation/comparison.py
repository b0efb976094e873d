"""How runs differ: parameters, data, origin, and metrics with bootstrap intervals. Pure.

The first run is the baseline. Runs that were tested on the same rows are compared on the same resamples (paired), which
tells smaller differences apart; others are resampled each by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.digest import is_whole
from ml.evaluation.bootstrap import bounds, resampled
from ml.evaluation.metrics import NAMES, sign, weighted

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
RESAMPLES = 1000
_DATA_TAGS = ("data.uri", "data.digest", "data.rows", "data.columns")
_ORIGIN_TAGS = ("git.commit", "git.dirty", "env.lock_sha256", "env.python")


@dataclass(frozen=True)
class Subject:
    """A DAG run that is compared.

    Attributes:
        label: A letter, `A` for the baseline.
        version: The model and version that it made, or `-`.
        state: How its MLflow run ended.
        predictions: Its test rows with `row`, `target` and `probability`; None where it kept none.
        images: Its plots, PNG files by name.
    """

    label: str
    run_id: str
    version: str
    state: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    images: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A metric of one run, and how it differs from the baseline.

    Intervals are (low, high) at 95 %; None where there are no test predictions to find them from. `verdict` is empty
    for the baseline and without an interval, else `better`, `worse`, `same` or `cannot tell`.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    difference: float | None = None
    difference_interval: tuple[float, float] | None = None
    is_paired: bool = False
    verdict: str = ""


@dataclass(frozen=True)
class Comparison:
    """Everything that differs. Rows are a name and one text for each run, in their order."""

    subjects: tuple[Subject, ...]
    params: list[tuple[str, list[str]]]
    data: list[tuple[str, list[str]]]
    origin: list[tuple[str, list[str]]]
    metrics: dict[str, list[Measure]]


def compare(subjects: Sequence[Subject]) -> Comparison:
    """Compares two or more runs; only what differs is listed, but for metrics and the data's digest."""
    # The contract is shown column by column, and data addresses with the data.
    shown_apart = ("schema", "data.uri")
    params = [{name: text for name, text in each.params.items() if name not in shown_apart} for each in subjects]
    return Comparison(
        tuple(subjects),
        _differing(params),
        [*_rows_of(subjects, _DATA_TAGS), *_columns(subjects)],
        _rows_of(subjects, _ORIGIN_TAGS),
        _metrics(subjects),
    )


def _differing(by_subject: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    names = sorted({name for each in by_subject for name in each})
    rows = [(name, [each.get(name, "-") for each in by_subject]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _rows_of(subjects: Sequence[Subject], names: Sequence[str]) -> list[tuple[str, list[str]]]:
    rows = [(name, [each.tags.get(name, "-") for each in subjects]) for name in names]
    return [(name, values) for name, values in rows if set(values) != {"-"}]


def _columns(subjects: Sequence[Subject]) -> list[tuple[str, list[str]]]:
    contracts = []
    for each in subjects:
        try:
            contract: Any = json.loads(each.params.get("schema") or "{}")
        except ValueError:
            contract = {}
        rules = contract.items() if isinstance(contract, dict) else ()
        contracts.append({f"column {name}": str(rule.get("type")) for name, rule in rules if isinstance(rule, dict)})
    return _differing(contracts)


def _metrics(subjects: Sequence[Subject]) -> dict[str, list[Measure]]:
    measures: dict[str, list[Measure]] = {}
    spreads = _spreads(subjects)
    for part in ("test", "validation", "train"):
        for name in NAMES:
            metric = f"{part}_{name}"
            values = [each.metrics.get(metric) for each in subjects]
            if any(value is not None for value in values):
                drawn = [spread.get(name) if part == "test" else None for spread in spreads]
                measures[metric] = [_measure(name, values, drawn, subjects, at) for at in range(len(subjects))]
    return measures


def _measure(name: str, values: list[float | None], drawn: list[Any], subjects: Sequence[Subject], at: int) -> Measure:
    value, base, ours, theirs = values[at], values[0], drawn[at], drawn[0]
    interval = bounds(ours, CONFIDENCE) if ours is not None else None
    if at == 0 or value is None or base is None:
        return Measure(value, interval)
    difference = value - base
    if ours is None or theirs is None:
        return Measure(value, interval, difference)
    count = min(len(ours), len(theirs))
    low, high = bounds(ours[:count] - theirs[:count], CONFIDENCE)
    is_paired = are_same_rows(subjects[0], subjects[at])
    if low <= 0 <= high:
        verdict = "same" if low == high == 0 else "cannot tell"
    else:
        verdict = "better" if sign(name) * low > 0 else "worse"
    return Measure(value, interval, difference, (low, high), is_paired, verdict)


def are_same_rows(one: Subject, other: Subject) -> bool:
    """Whether two runs were tested on the same rows of the same data, in the same order.

    An old digest of a large data set tells its first rows alone, which is not enough to say so.
    """
    if one.predictions is None or other.predictions is None:
        return False
    digest = one.tags.get("data.digest", "")
    same_data = is_whole(digest, one.tags.get("data.rows", "")) and digest == other.tags.get("data.digest")
    columns = ["row", "target"]
    return same_data and one.predictions[columns].equals(other.predictions[columns])


def _spreads(subjects: Sequence[Subject]) -> list[dict[str, np.ndarray]]:
    """The metrics of each run's resamples. The same rows get the same seed, and so the same resamples."""
    seeds: list[int] = []
    for at, each in enumerate(subjects):
        twin = next((before for before in range(at) if are_same_rows(subjects[before], each)), None)
        seeds.append(seeds[twin] if twin is not None else at)
    return [_spread(each.predictions, seed) for each, seed in zip(subjects, seeds, strict=True)]


def _spread(predictions: pd.DataFrame | None, seed: int) -> dict[str, np.ndarray]:
    """Every metric of each resample."""
    if predictions is None or predictions.empty:
        return {}
    target, probability = predictions["target"], predictions["probability"]
    batches = [
        {name: weighted(name, target, probability, weights) for name in NAMES}
        for weights in resampled(len(target), RESAMPLES, seed)
    ]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in NAMES}
