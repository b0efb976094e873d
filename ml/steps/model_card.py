"""The description of a run and of its version: Markdown that reads as a model card. Pure.

Sections after Mitchell et al., Model Cards for Model Reporting (2019), as far as a run knows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ml.config.schema import PipelineConfig
from ml.evaluation.metrics import NAMES
from ml.inspection.profile import plain, table
from ml.training.features import Roles

_MOST_COLUMNS = 40
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Facts:
    """What is known of a run when its version was evaluated.

    Attributes:
        config: The configuration that was fitted.
        roles: What each column is to the model.
        metrics: Every metric by name.
        tags: The run's tags.
        profile: The data's profile (`ml.inspection.profile.profile`), or nothing.
        importance: The growth of the test log loss when a column is shuffled, the largest first.
        rows: The rows of the parts `train` and `test`, and the share of label 1 in them.
        links: Addresses by what they lead to.
        version: The registered version.
        note: What somebody wrote when triggering the run.
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
    note: str = ""
    reading: Mapping[str, Any] = field(default_factory=dict)


def card(facts: Facts) -> str:
    """The model card as Markdown."""
    name = facts.config.model.name
    links = " · ".join(f"[{label}]({url})" for label, url in facts.links.items())
    head = [f"# {plain(name)}, version {facts.version}", links, *([plain_note(facts.note)] if facts.note else [])]
    data = (_data(facts), _reading(facts))
    blocks = (_model(facts), _metrics(facts), *data, _importance(facts), _origin(facts), _limits(facts))
    return "\n\n".join([*head, *("\n".join(block) for block in blocks if block)])


def plain_note(note: str) -> str:
    """A person's words as a quotation."""
    return "> " + " ".join(note.split()).replace("<", "&lt;").replace("[", "\\[")


def _model(facts: Facts) -> list[str]:
    config, roles = facts.config, facts.roles
    changed = config.model.parameters.model_dump(exclude_defaults=True)
    told = ", ".join(f"`{key}={value}`" for key, value in changed.items()) or "scikit-learn's defaults"
    scalers = " and ".join(config.preprocessing.scalers) or "no scaling"
    return [
        "## Model",
        f"Predicts the probability that **{plain(roles.target)}** is **{plain(str(roles.positive))}** "
        f"(otherwise {plain(str(roles.negative))}); at a threshold of 0.5 that is the prediction.",
        "",
        f"- **Estimator:** scikit-learn `{config.model.estimator}`, {told}",
        f"- **Numbers:** missing ones are filled with the {config.preprocessing.impute}; scaled: {scalers}",
        f"- **Categories:** one-hot; fewer than {config.preprocessing.min_frequency} rows are taken together, unknown "
        "ones are answered as such",
        f"- **Features:** {len(roles.numeric)} numeric, {len(roles.categorical)} categorical",
    ]


def _metrics(facts: Facts) -> list[str]:
    lines = ["## Metrics", "| metric | train | validation | test |", "|---|---|---|---|"]
    for name in NAMES:
        cells = [facts.metrics.get(f"{part}_{name}") for part in _PARTS]
        lines.append(f"| {name} | {' | '.join('-' if cell is None else f'{cell:.4f}' for cell in cells)} |")
    folds = facts.config.split.folds
    return [*lines, "", f"Validation: {folds}-fold cross-validation on the training part. Test: rows never trained on."]


def _data(facts: Facts) -> list[str]:
    tags = facts.tags
    parts = "; ".join(f"{part} {rows:,} rows ({share:.1%} positive)" for part, (rows, share) in facts.rows.items())
    return [
        "## Data",
        f"{plain(tags.get('data.uri', 'unknown'))}, {tags.get('data.rows', '?')} rows, digest "
        f"`{tags.get('data.digest', '?')}`. Parts: {parts or 'unknown'}; seed {facts.config.split.random_state}.",
        "",
        *(table(dict(facts.profile)) if facts.profile else []),
    ]


def _reading(facts: Facts) -> list[str]:
    """What was guessed of the columns, and what was not learned from."""
    columns = facts.reading.get("columns", {})
    guessed = [name for name in facts.roles.features if columns.get(name, {}).get("guessed")]
    lines = [
        f"- {plain(name)} was read as {columns[name]['type']}, which was guessed" for name in guessed[:_MOST_COLUMNS]
    ]
    if len(guessed) > _MOST_COLUMNS:
        lines.append(f"- … and {len(guessed) - _MOST_COLUMNS} more were guessed: the run's columns.json has them all")
    lines += [f"- {plain(name)} was left out: {why}" for name, why in facts.roles.left_out.items()][:_MOST_COLUMNS]
    lines += [f"- {note.replace('<', '&lt;')}" for note in facts.reading.get("notes", ())]
    return ["## How the columns were read", *lines] if lines else []


def _importance(facts: Facts) -> list[str]:
    lines = [f"| {plain(name)} | {value:+.4f} |" for name, value in list(facts.importance.items())[:15]]
    head = ["## What it goes by", "| column | growth of the log loss when shuffled |", "|---|---|"]
    return [*head, *lines, *_left_out(facts)] if lines else []


def _left_out(facts: Facts) -> list[str]:
    measured, columns = len(facts.importance), len(facts.roles.features)
    told = f"Of {columns:,} columns the {measured} that by themselves tell the target best were measured; "
    return ["", f"{told}{columns - measured:,} were left out."] if measured < columns else []


def _origin(facts: Facts) -> list[str]:
    tags = facts.tags
    state = " with uncommitted changes" if tags.get("git.dirty") == "true" else ""
    return [
        "## Origin",
        f"- **DAG run:** `{tags.get('airflow.run_id', '?').replace('`', '')}` of `{tags.get('airflow.dag_id', '?')}`",
        f"- **Commit:** `{tags.get('git.commit', 'unknown')}`{state}",
        f"- **Environment:** Python {tags.get('env.python', '?')}, lock `{tags.get('env.lock_sha256', '?')[:26]}`",
    ]


def _limits(facts: Facts) -> list[str]:
    lines = ["## Limits", "- It knows what was in its training rows alone; data that drifts away needs a new run."]
    tested = facts.rows.get("test", (0, 0.0))[0]
    if 0 < tested < 200:
        lines.append(f"- The test part has {tested} rows only: its metrics may be off by several percent.")
    if facts.config.model.parameters.class_weight:
        lines.append("- Classes were weighted, so its probabilities are no frequencies.")
    gap = facts.metrics.get("test_log_loss", 0.0) - facts.metrics.get("train_log_loss", 0.0)
    if gap > 0.1:
        lines.append(f"- It does worse on test than on training rows (log loss +{gap:.2f}): it may be overfitted.")
    return lines
