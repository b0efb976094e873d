"""The gate's checks of the whole: contract, thresholds, dummy, size, champion. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ml.config.promotion import GateConfig, PromotionConfig
from ml.evaluation.bootstrap import Pair, can_tell, chance_of_luck, one_side, paired_gain
from ml.evaluation.leakage import LEAST_OF_A_CLASS
from ml.evaluation.metrics import metric_of, sign
from ml.gate.verdict import AGAINST_CHAMPION, Check, Evidence, Status, plain


def contract(evidence: Evidence) -> Check:
    """Whether the snapshot that the run trained on keeps the data contract."""
    if evidence.contract:
        return Check("data contract", "failed", f"the data breaks the contract: {evidence.contract}")
    return Check("data contract", "passed", f"all {evidence.total:,} rows keep the data contract")


def against(metric: str, value: float, bound: float) -> tuple[Status, str]:
    """Whether a metric is at least its bound (a loss at most), and the verb that says so; NaN misses every bound."""
    return ("passed", "keeps") if sign(metric) * value >= sign(metric) * bound else ("failed", "misses")


def thresholds(evidence: Evidence, gate: GateConfig) -> list[Check]:
    """A check for each declared threshold."""
    checks = []
    for metric, bound in gate.thresholds.items():
        value = metric_of(metric, evidence.target, evidence.probability)
        limit = "least" if sign(metric) > 0 else "most"
        status, verb = against(metric, value, bound)
        words = f"{metric} {value:.6f} {verb} the threshold of at {limit} {bound:g}"
        checks.append(Check(f"threshold of {metric}", status, words, {"value": plain(value), "bound": bound}))
    return checks


def dummy(evidence: Evidence, gate: GateConfig) -> Check:
    """Whether it ranks rows better than a model that ignores the features, whose ROC AUC is one half.

    The ROC AUC and not the compared metric: class weights shift probabilities, and with them every loss, but no ranks.
    """
    name, target = "better than a dummy", evidence.target
    rows, positives = len(target), int(target.sum())
    rarer = min(positives, rows - positives)
    auc = metric_of("roc_auc", target, evidence.probability)
    words = f"ROC AUC {auc:.4f} on {rows:,} held-out rows, {positives:,} of them positive,"
    figures: dict[str, Any] = {"auc": plain(auc), "rows": rows, "positives": positives}
    if not can_tell(target, gate.confidence):
        words += f" tells nothing of the 0.5 of a dummy classifier: the sample is too small for {gate.confidence:.0%}"
        return Check(name, "unsure", words, figures)
    chance = chance_of_luck(target, evidence.probability, gate.confidence, gate.resamples)
    most = one_side(gate.confidence)
    figures |= {"chance": chance, "most": most}
    words += f" has a chance of {chance:.2g} by luck"
    if chance <= most:
        return Check(name, "passed", f"{words}: better than the 0.5 of a dummy classifier", figures)
    words += f", and at most {most:.2g} is wanted: no better than the 0.5 of a dummy classifier"
    # What few rows cannot show is no proof that there is nothing to see.
    if auc > 0.5 and (rows < gate.min_rows or rarer < LEAST_OF_A_CLASS):
        return Check(name, "unsure", f"{words} as far as they can tell: the sample is too small", figures)
    return Check(name, "failed", words, figures)


def shrink(evidence: Evidence, gate: GateConfig) -> list[Check]:
    """Whether the data set is about as large as the one that the champion came from."""
    champion = evidence.champion
    if gate.shrink is None or champion is None or not champion.rows:
        return []
    part = evidence.total / champion.rows
    figures = {"rows": evidence.total, "champion_rows": champion.rows, "least": gate.shrink}
    words = f"the data set has {evidence.total:,} rows, {part:.0%} of the {champion.rows:,} of champion version"
    words += f" {champion.version}"
    if part < gate.shrink:
        return [Check("size of the data", "failed", f"{words}: at least {gate.shrink:.0%} is wanted", figures)]
    return [Check("size of the data", "passed", words, figures)]


def champion(evidence: Evidence, wanted: PromotionConfig) -> tuple[float | None, list[Check]]:
    """Whether it is not worse than the champion on the same rows, by the paired interval and the declared margin.

    Rows that the champion alone was trained on are left out: on them it remembers. With the check comes by how much it
    is better, None where the two cannot be compared; without a champion there is no check.
    """
    live = evidence.champion
    if live is None:
        return None, []
    if live.probability is None:
        return None, [Check(AGAINST_CHAMPION, "unsure", f"champion version {live.version} {live.problem}")]
    learned = np.zeros(len(evidence.target), dtype=bool) if live.learned is None else live.learned
    target, left_out = evidence.target[~learned], int(learned.sum())
    counts = {"rows": len(target), "left_out": left_out}
    rarer = int(min(target.sum(), len(target) - target.sum()))
    if left_out and rarer < LEAST_OF_A_CLASS:
        words = (
            f"champion version {live.version} was trained on {left_out:,} of the {len(learned):,} held-out rows, and "
            f"{len(target):,} others, {rarer} of the rarer class, are too few to compare with it: bring more rows, or "
            "promote by hand if you mean it"
        )
        return None, [Check(AGAINST_CHAMPION, "unsure", words, counts)]
    pair = Pair(wanted.metric, target, evidence.probability[~learned], live.probability[~learned])
    beside = f" ({left_out:,} more are left out, which the champion was trained on)" if left_out else ""
    other = f"champion version {live.version} on the same {len(target):,} rows{beside}"
    return _compared(pair, wanted.gate, other, counts)


def _compared(pair: Pair, gate: GateConfig, other: str, counts: Mapping[str, int]) -> tuple[float, list[Check]]:
    gain = paired_gain(pair, gate.confidence, gate.resamples)
    ours, theirs = (metric_of(pair.metric, pair.target, each) for each in (pair.ours, pair.theirs))
    status: Status = "unsure"
    said = f"reaches beyond the margin of {gate.margin:g}: the sample is too small to tell"
    # A gain of exactly nothing, as of the same model, is within every margin.
    if gain.low >= -gate.margin:
        status, said = "passed", f"is within the margin of {gate.margin:g}"
    elif gain.high < -gate.margin:
        status, said = "failed", f"is worse by more than the margin of {gate.margin:g}"
    words = (
        f"{pair.metric} {ours:.6f} against the {theirs:.6f} of {other}: a gain of {gain.estimate:+.6f} "
        f"({gate.confidence:.0%} interval {gain.low:+.4f} to {gain.high:+.4f}) {said}"
    )
    numbers = {"gain": gain.estimate, "low": gain.low, "high": gain.high, "candidate": ours, "champion": theirs}
    figures = {**counts, "margin": gate.margin, **{name: plain(number) for name, number in numbers.items()}}
    return gain.estimate, [Check(AGAINST_CHAMPION, status, words, figures)]
