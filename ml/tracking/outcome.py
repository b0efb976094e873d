"""How a DAG run ended, as the tags of its MLflow run tell it, and the pages on which to look at it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

ERRORS = ("error.task", "error.type", "error.message")
"""What a step that failed writes."""
OUTCOME = "outcome"
SUCCESS = {OUTCOME: "success"}
"""What the step that decides writes once every step before it did its work."""
REPORT_TASK = "report_model_task"
REPORT = "report"
"""The tag with how far the step beside the decision is, or its error: neither takes back what the other said."""
PENDING, REPORTED = "pending", "done"


@dataclass(frozen=True)
class Outcome:
    """How a DAG run ended; what it did not get to is empty.

    Attributes:
        succeeded: Whether every step did its work.
        decided: Whether it was decided if the version goes live, which stands whatever failed beside that.
        error: What its error said, on one line.
        version: The version of the model that it made.
        is_champion: Whether that went live.
        reason: Why it did, or did not.
    """

    succeeded: bool
    decided: bool
    failed_task: str
    error_type: str
    error: str
    version: str
    is_champion: bool
    reason: str

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Outcome:
        """Reads the tags of an MLflow run; of a run that is not there they are empty."""
        task, kind, message = (tags.get(name, "") for name in ERRORS)
        decided = tags.get(OUTCOME) == SUCCESS[OUTCOME]
        # A run of a release without that step has no such tag.
        report = tags.get(REPORT, REPORTED)
        if decided and report not in (PENDING, REPORTED):
            task, (kind, _, message) = REPORT_TASK, report.partition(": ")
        return cls(
            succeeded=decided and report == REPORTED,
            decided=decided,
            failed_task=task,
            error_type=kind,
            error=" ".join(message.split()),
            version=tags.get("model.version", ""),
            is_champion=tags.get("promotion.champion") == "true",
            reason=tags.get("promotion.reason", ""),
        )

    @property
    def status(self) -> str:
        """The status that the MLflow run ends with."""
        if self.succeeded:
            return "FINISHED"
        # No step finished the run and none recorded an error: it was stopped from outside.
        return "FAILED" if self.error or self.failed_task else "KILLED"


def error_tags(task: str, kind: str, message: str) -> dict[str, str]:
    """The tags that tell which task failed, with which class of error, and what that said."""
    if task == REPORT_TASK:
        return {REPORT: f"{kind}: {message}"}
    return dict(zip(ERRORS, (task, kind, message), strict=True))


def dag_run_page(airflow_url: str, dag_id: str, run_id: str) -> str:
    """A DAG run in Airflow."""
    return f"{airflow_url}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}"


def run_page(mlflow_url: str, experiment_id: str, run_id: str) -> str:
    """A run in MLflow."""
    return f"{mlflow_url}/#/experiments/{experiment_id}/runs/{run_id}"


def version_page(mlflow_url: str, model: str, version: str) -> str:
    """A model version in MLflow."""
    return f"{mlflow_url}/#/models/{quote(model, safe='')}/versions/{version}"
