"""The gate: what a version must show on rows that training never saw, and the verdict. Pure; nothing is read here.

Each check says passed, failed or unsure (the rows are too few to tell), and why in one sentence with its figures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.bootstrap import Array

if TYPE_CHECKING:
    import pandas as pd


Status = Literal["passed", "failed", "unsure"]
AGAINST_CHAMPION = "not worse than the champion"
"""The name of the check that compares a candidate with the champion."""
_SHORT = 4000


@dataclass(frozen=True)
class Check:
    """What one check found: its status, why in one sentence, and the figures as plain values.

    `unsure` counts as passed, unless the configuration says otherwise.
    """

    name: str
    status: Status
    words: str
    found: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Champion:
    """The version that is live, as this run sees it.

    Attributes:
        probability: What it says of the held-out rows, shape (n_rows,); None where it cannot be compared.
        problem: Why it cannot.
        rows: How many rows its data set had; None where that was not recorded.
        learned: Which of the held-out rows it was trained on and the candidate was not, shape (n_rows,); None for none.
    """

    version: str
    probability: Array | None = None
    problem: str = ""
    rows: int | None = None
    learned: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Evidence:
    """What the gate judges from.

    Attributes:
        features: The held-out rows as the model takes them, shape (n_rows, n_features).
        target: 0 or 1, shape (n_rows,).
        probability: What the candidate says of them, shape (n_rows,).
        pipeline: The candidate; behaviour checks ask it about changed rows.
        known: The training rows with their target in the last column; what a feature alone tells is learned there.
        rows: Every column of the held-out rows, for slices.
        total: How many rows the data set has.
        contract: What breaks the data contract, or nothing.
        champion: The live version; None for none, or where the candidate is it.
    """

    features: pd.DataFrame
    target: Array
    probability: Array
    pipeline: Any
    known: pd.DataFrame
    rows: pd.DataFrame
    total: int
    contract: str = ""
    champion: Champion | None = None


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a version.

    Attributes:
        passed: Whether it may be promoted.
        rows: How many rows were held out.
        metric: The metric that candidate and champion are compared by.
        gain: By how much it is better than the champion on the same rows; None without a champion to compare with.
        compared: The champion's version, or None.
    """

    passed: bool
    checks: tuple[Check, ...]
    rows: int
    metric: str
    gain: float | None = None
    compared: str | None = None

    @property
    def reasons(self) -> list[str]:
        """Why it failed, a sentence for each check; empty when it passed."""
        failed = [check.words for check in self.checks if check.status == "failed"]
        # Without one that failed it was doubt that was not let pass.
        return [] if self.passed else failed or self.doubts

    @property
    def doubts(self) -> list[str]:
        """What the rows were too few to tell."""
        return [check.words for check in self.checks if check.status == "unsure"]

    @property
    def against_champion(self) -> Check | None:
        """The check against the champion; None without one."""
        return next((check for check in self.checks if check.name == AGAINST_CHAMPION), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; `Verdict.from_dict` reads them back."""
        return {**asdict(self), "reasons": self.reasons}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verdict:
        """Reads what `as_dict` wrote."""
        checks = tuple(Check(**check) for check in values["checks"])
        rest = {name: values[name] for name in ("passed", "rows", "metric", "gain", "compared")}
        return cls(checks=checks, **rest)

    def short(self) -> str:
        """`{"passed": bool, "reasons": [...]}` as JSON that fits into a tag."""
        reasons = [reason[:400] for reason in self.reasons]
        while reasons and len(json.dumps(reasons)) > _SHORT:
            reasons.pop()
        return json.dumps({"passed": self.passed, "reasons": reasons})


def read_short(text: str | None) -> dict[str, Any] | None:
    """What `Verdict.short` wrote; None where it is not that, or nothing."""
    try:
        value = json.loads(text or "null")
    except ValueError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("passed"), bool):
        return None
    reasons = value.get("reasons")
    return {"passed": value["passed"], "reasons": list(map(str, reasons)) if isinstance(reasons, list) else []}


def plain(value: float) -> float | None:
    """A number that JSON can carry: what is none becomes null."""
    return float(value) if np.isfinite(value) else None
