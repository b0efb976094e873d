"""What people are told of a run: how it ended, the mail, and the note on the MLflow run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ml.errors import PipelineError, one_line
from ml.pages import render
from ml.tracking.outcome import Outcome

_KEPT = "No version was promoted; the champion is what it was."


@dataclass(frozen=True)
class RunReport:
    """What is known of a DAG run when it is told; `metrics` of the test part, `links` by what they lead to."""

    dag_id: str
    run_id: str
    model: str
    outcome: Outcome
    metrics: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def ending(self) -> tuple[str, str]:
        """How it ended: in few words for the subject of the mail, and as its headline."""
        version = f"{self.model} version {self.outcome.version}"
        if self.outcome.succeeded:
            return f"{version}: {'champion' if self.outcome.is_champion else 'not promoted'}", self._decision
        # The gate's no is a decision and no crash.
        if self.outcome.error_type == "GateFailed":
            return f"{version}: refused by the gate", f"{version} was refused by the gate"
        if self.outcome.failed_task:
            return f"{self.model}: run failed at {self.outcome.failed_task}", f"{self.model}: the run failed"
        return f"{self.model}: run was stopped", f"{self.model}: the run was stopped"

    @property
    def lines(self) -> list[str]:
        """Why it ended so."""
        if self.outcome.succeeded:
            return [self.outcome.reason]
        kept = f"{self._decision}: {self.outcome.reason}" if self.outcome.decided else _KEPT
        if not self.outcome.failed_task:
            return ["It was ended before its work was done: by a person, or because its process was killed.", kept]
        message = self.outcome.error or "it left no message; see its log."
        return [f"Task {self.outcome.failed_task}: {message}", kept]

    @property
    def _decision(self) -> str:
        ending = "is champion" if self.outcome.is_champion else "was not promoted"
        return f"{self.model} version {self.outcome.version} {ending}"


def subject(report: RunReport) -> str:
    """The subject of the mail: one line of at most 200 characters, whatever a run was called."""
    # A line break would end the header, and the mail would be lost.
    return " ".join(f"[Trackyard] {report.ending[0]} ({report.run_id})".split())[:200]


def html(report: RunReport) -> str:
    """The mail as HTML; everything that comes from a run is escaped."""
    return render("run_mail.html", report=report)


def note(dag_id: str, run_id: str, links: Mapping[str, str], words: str = "") -> str:
    """The Markdown on the MLflow run: what it is, the way back to the DAG run, and what its person said of it."""
    return f"DAG run `{run_id.replace('`', '')}` of `{dag_id}`. {links_line(links)}\n\n{quotable(words)}".strip()


def links_line(links: Mapping[str, str]) -> str:
    """Addresses by what they lead to, as one line of Markdown."""
    return " · ".join(f"[{label}]({url})" for label, url in links.items())


def quotable(words: str) -> str:
    """A person's words, in which Markdown finds neither a tag nor a link."""
    return words.replace("<", "&lt;").replace("[", "\\[")


def describe(error: BaseException) -> str:
    """An error as one line: ours say enough by themselves, others need their type."""
    message = one_line(error, limit=None)
    return message if isinstance(error, PipelineError) else f"{type(error).__name__}: {message}"
