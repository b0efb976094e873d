"""The gate: every check on the rows that a run held out, and the verdict. Pure; nothing is read here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.gate.verdict import Evidence, Verdict

if TYPE_CHECKING:
    from ml.config.schema import PipelineConfig


def judge(evidence: Evidence, config: PipelineConfig) -> Verdict:
    """Every check of the gate on the held-out rows of one run.

    Args:
        evidence: What the run found.
        config: The run's configuration; `promotion` says what is checked.
    """
    from ml.gate import checks as check
    from ml.gate import row_checks as rows

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
        *[found for rule in gate.slices for found in rows.slices(evidence, rule)],
        *[rows.behaviour(evidence, rule) for rule in gate.behaviour],
    ]
    strict = gate.unsure == "fail"
    failed = any(found.status == "failed" or (strict and found.status == "unsure") for found in checks)
    compared = evidence.champion.version if gain is not None and evidence.champion else None
    return Verdict(not failed, tuple(checks), len(evidence.target), wanted.metric, gain, compared)
