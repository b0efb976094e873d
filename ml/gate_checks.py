"""The gate's checks of the whole: contract, thresholds, dummy, size, champion. Pure."""

from __future__ import annotations

import numpy as np

from ml.gate import AGAINST_CHAMPION, Check, Evidence, Status, plain
from ml.gate_metrics import Draw, Interval, metric_of, paired_gain, sign
from ml.promotion_schema import GateConfig, PromotionConfig


def contract(evidence: Evidence) -> Check:
    """Whether the snapshot that the run trained on keeps the data contract."""
    if evidence.contract:
        return Check("data contract", "failed", f"the data breaks the contract: {evidence.contract}")
    return Check("data contract", "passed", f"all {evidence.total:,} rows keep the data contract")


def reaches(metric: str, value: float, bound: float) -> bool:
    """Whether a metric is at least its bound, or at most where less is better; NaN reaches nothing."""
    return bool(sign(metric) * value >= sign(metric) * bound)


def thresholds(evidence: Evidence, gate: GateConfig) -> list[Check]:
    """A check for each declared threshold."""
    checks = []
    for metric, bound in gate.thresholds.items():
        value = metric_of(metric, evidence.target, evidence.probability)
        limit = "least" if sign(metric) > 0 else "most"
        status: Status = "passed" if reaches(metric, value, bound) else "failed"
        verb = "keeps" if status == "passed" else "misses"
        words = f"{metric} {value:.6f} {verb} the threshold of at {limit} {bound:g}"
        checks.append(Check(f"threshold of {metric}", status, words, {"value": plain(value), "bound": bound}))
    return checks


def dummy(evidence: Evidence, gate: GateConfig) -> Check:
    """Whether it ranks rows better than a model that ignores the features, whose ROC AUC is one half.

    The ROC AUC and not the compared metric: class weights shift probabilities, and with them every loss, but no ranks.
    """
    target, ours = evidence.target, evidence.probability
    rows = len(target)
    gain = paired_gain("roc_auc", target, ours, np.full(rows, 0.5), _draw(gate))
    auc = 0.5 + gain.estimate
    around = f"({gate.confidence:.0%} interval {0.5 + gain.low:.4f} to {0.5 + gain.high:.4f})"
    status: Status = "passed"
    words = f"ROC AUC {auc:.4f} {around} on {rows:,} held-out rows is better than the 0.5 of a dummy classifier"
    # Written so that a ROC AUC that is not defined is no pass.
    if not gain.low > 0:
        status = "unsure" if gain.estimate > 0 and rows < gate.min_rows else "failed"
        words = f"ROC AUC {auc:.4f} {around} is no better than the 0.5 of a dummy classifier"
        if status == "unsure":
            words += f" as far as {rows:,} held-out rows can tell: the sample is too small"
    return Check("better than a dummy", status, words, _figures(gain, rows))


def shrink(evidence: Evidence, gate: GateConfig) -> list[Check]:
    """Whether the data set is about as large as the one that the champion came from."""
    champion = evidence.champion
    if gate.shrink is None or champion is None or not champion.rows:
        return []
    part = evidence.total / champion.rows
    found = {"rows": evidence.total, "champion_rows": champion.rows, "least": gate.shrink}
    told = f"the data set has {evidence.total:,} rows, {part:.0%} of the {champion.rows:,} of champion version"
    told = f"{told} {champion.version}"
    if part < gate.shrink:
        return [Check("size of the data", "failed", f"{told}: at least {gate.shrink:.0%} is wanted", found)]
    return [Check("size of the data", "passed", told, found)]


def champion(evidence: Evidence, wanted: PromotionConfig) -> tuple[float | None, list[Check]]:
    """Whether it is not worse than the champion on the same rows, by the paired interval and the declared margin.

    Returns:
        By how much it is better (None where the two cannot be compared), and the check; none without a champion.
    """
    live = evidence.champion
    if live is None:
        return None, []
    name = AGAINST_CHAMPION
    if live.probability is None:
        return None, [Check(name, "unsure", f"champion version {live.version} {live.problem}")]
    gate, metric, rows = wanted.gate, wanted.metric, len(evidence.target)
    gain = paired_gain(metric, evidence.target, evidence.probability, live.probability, _draw(gate))
    ours = metric_of(metric, evidence.target, evidence.probability)
    theirs = metric_of(metric, evidence.target, live.probability)
    told = (
        f"{metric} {ours:.6f} against the {theirs:.6f} of champion version {live.version} on the same {rows:,} rows: "
        f"a gain of {gain.estimate:+.6f} {_around(gain, gate)}"
    )
    # A gain of exactly nothing, as of the same model, is within every margin.
    if gain.low >= -gate.margin:
        status: Status = "passed"
        words = f"{told} is within the margin of {gate.margin:g}"
    elif gain.high < -gate.margin:
        status, words = "failed", f"{told} is worse by more than the margin of {gate.margin:g}"
    else:
        status = "unsure"
        words = f"{told} reaches beyond the margin of {gate.margin:g}: the sample is too small to tell"
    found = {**_figures(gain, rows), "margin": gate.margin, "candidate": plain(ours), "champion": plain(theirs)}
    return gain.estimate, [Check(name, status, words, found)]


def _draw(gate: GateConfig) -> Draw:
    return Draw(gate.confidence, gate.resamples)


def _around(gain: Interval, gate: GateConfig) -> str:
    return f"({gate.confidence:.0%} interval {gain.low:+.4f} to {gain.high:+.4f})"


def _figures(gain: Interval, rows: int) -> dict[str, float | int | None]:
    return {"gain": plain(gain.estimate), "low": plain(gain.low), "high": plain(gain.high), "rows": rows}
