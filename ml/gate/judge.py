"""The gate: every check on the rows that a run held out, and the verdict. Pure; nothing is read here."""

from __future__ import annotations

from ml.config.schema import PipelineConfig
from ml.gate import checks as check
from ml.gate import row_checks as rows
from ml.gate.verdict import Evidence, Verdict


def judge(evidence: Evidence, config: PipelineConfig) -> Verdict:
    """Every check of the gate on the held-out rows of one run; the configuration's `promotion` says which."""
    wanted = config.promotion
    gate = wanted.gate
    gain, versus = check.champion(evidence, wanted)
    checks = [
        check.contract(evidence),
        *check.thresholds(evidence, gate),
        *([check.dummy(evidence, gate)] if gate.dummy else []),
        *rows.leaks(evidence, gate),
        *check.shrink(evidence, gate),
        *versus,
        *[part for rule in gate.slices for part in rows.slices(evidence, rule)],
        *[rows.behaviour(evidence, rule) for rule in gate.behaviour],
    ]
    refused = ("failed", "unsure") if gate.unsure == "fail" else ("failed",)
    passed = all(each.status not in refused for each in checks)
    compared = evidence.champion.version if gain is not None and evidence.champion else None
    return Verdict(passed, tuple(checks), len(evidence.target), wanted.metric, gain, compared)
