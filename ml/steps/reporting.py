"""What people are told of a run: the mail, and the note on the MLflow run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ml.errors import PipelineError, one_line
from ml.pages import render


@dataclass(frozen=True)
class RunReport:
    """What is known of a DAG run when it is told.

    Attributes:
        dag_id: The DAG.
        run_id: The DAG run.
        succeeded: Whether every step did its work.
        model: The registered model.
        version: The version that the run registered, or None.
        is_champion: Whether that version went live.
        reason: Why it did or did not.
        metrics: The metrics of the test part.
        failed_task: The task that failed, or None.
        message: What it said.
        links: Addresses by what they lead to.
        refused: Whether it was the gate that said no, which is a decision and no crash.
    """

    dag_id: str
    run_id: str
    succeeded: bool
    model: str
    version: str | None = None
    is_champion: bool = False
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    failed_task: str | None = None
    message: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    refused: bool = False

    @property
    def was_stopped(self) -> bool:
        """Whether it neither succeeded nor failed: a person ended it, or its process was killed."""
        return not self.succeeded and self.failed_task is None


def subject(report: RunReport) -> str:
    """The subject of the mail: one line of at most 200 characters, whatever a run was called."""
    if report.succeeded:
        place = "champion" if report.is_champion else "not promoted"
        text = f"[Trackyard] {report.model} version {report.version}: {place} ({report.run_id})"
    elif report.refused:
        text = f"[Trackyard] {report.model} version {report.version}: refused by the gate ({report.run_id})"
    elif report.was_stopped:
        text = f"[Trackyard] {report.model}: run was stopped ({report.run_id})"
    else:
        text = f"[Trackyard] {report.model}: run failed at {report.failed_task} ({report.run_id})"
    # A line break would end the header, and the mail would be lost.
    return " ".join(text.split())[:200]


def html(report: RunReport) -> str:
    """The mail as HTML; everything that comes from a run is escaped."""
    return render("run_mail.html", report=report, headline=_headline(report), lines=_lines(report))


def _headline(report: RunReport) -> str:
    if report.refused:
        return f"{report.model} version {report.version} was refused by the gate"
    if not report.succeeded:
        return f"{report.model}: the run {'was stopped' if report.was_stopped else 'failed'}"
    return f"{report.model} version {report.version} {'is champion' if report.is_champion else 'was not promoted'}"


def _lines(report: RunReport) -> list[str]:
    if report.succeeded:
        return [report.reason]
    kept = "No version was promoted; the champion is what it was."
    if report.was_stopped:
        return ["It was ended before its work was done: by a person, or because its process was killed.", kept]
    return [f"Task {report.failed_task}: {report.message or 'it left no message; see its log.'}", kept]


def note(report: RunReport, words: str = "") -> str:
    """The Markdown on the MLflow run: what it is, and the way back to the DAG run."""
    safe = words.replace("<", "&lt;").replace("[", "\\[")
    links = " · ".join(f"[{name}]({url})" for name, url in report.links.items())
    return f"DAG run `{report.run_id.replace('`', '')}` of `{report.dag_id}`. {links}\n\n{safe}".strip()


def describe(error: BaseException) -> str:
    """An error as one line: ours say enough by themselves, others need their type."""
    message = one_line(error, limit=None)
    return message if isinstance(error, PipelineError) else f"{type(error).__name__}: {message}"
