"""The description of a run and of its version: Markdown that reads as a model card. Pure.

Sections after Mitchell et al., Model Cards for Model Reporting (2019), as far as a run knows them; the text itself is
`ml/templates/model_card.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ml.config.schema import PipelineConfig
from ml.evaluation.metrics import NAMES
from ml.inspection.profile import plain, table
from ml.pages import render
from ml.steps.reporting import links_line, quotable
from ml.training.features import Roles

_MOST_COLUMNS = 40


@dataclass(frozen=True)
class Facts:
    """What is known of a run when its version was evaluated.

    Attributes:
        tags: The run's tags; `note` is what somebody wrote when triggering it.
        profile: The data's profile (`ml.inspection.profile.profile`), or nothing.
        importance: The growth of the test log loss when a column is shuffled, the largest first.
        rows: The rows of the parts `train` and `test`, and the share of label 1 in them.
        links: Addresses by what they lead to.
        reading: How the table was read (`ml.reading.columns.described`), or nothing.
    """

    config: PipelineConfig
    roles: Roles
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    profile: Mapping[str, Any] = field(default_factory=dict)
    importance: Mapping[str, float] = field(default_factory=dict)
    rows: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    reading: Mapping[str, Any] = field(default_factory=dict)


def card(facts: Facts) -> str:
    """The model card as Markdown."""
    columns = facts.reading.get("columns", {})
    changed = facts.config.model.parameters.model_dump(exclude_defaults=True)
    guessed = [name for name in facts.roles.features if columns.get(name, {}).get("guessed")]
    return render(
        "model_card.md",
        facts=facts,
        plain=plain,
        names=NAMES,
        most=_MOST_COLUMNS,
        links=links_line(facts.links),
        note=quotable(" ".join(facts.tags.get("note", "").split())),
        parameters=", ".join(f"`{key}={value}`" for key, value in changed.items()),
        parts="; ".join(f"{part} {rows:,} rows ({share:.1%} positive)" for part, (rows, share) in facts.rows.items()),
        profile=table(dict(facts.profile)) if facts.profile else [],
        guessed=[(name, columns[name]["type"]) for name in guessed],
        left_out=list(facts.roles.left_out.items()),
        notes=facts.reading.get("notes", ()),
        importance=list(facts.importance.items()),
        tested=facts.rows.get("test", (0, 0.0))[0],
        gap=facts.metrics.get("test_log_loss", 0.0) - facts.metrics.get("train_log_loss", 0.0),
    )
