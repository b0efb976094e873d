"""What is done and told once a DAG run is over, however it went. Effects: MLflow and S3; `ml.steps` offers these.

Unlike the steps these record no error on the run: they say how it ended and must not change that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.config.loading import base_config
from ml.errors import BadInput, PipelineError
from ml.steps.context import FIRST_TASK, Context, anew, recent
from ml.tracking.outcome import Outcome, error_tags

if TYPE_CHECKING:
    from mlflow.entities import Run

    from ml.steps.reporting import RunReport


def close_run(dag_id: str, run_id: str) -> str:
    """Ends the MLflow run with the status that fits what happened.

    Returns:
        `FINISHED`, `FAILED` or `KILLED`; `UNREPORTED` of one that failed after its decision, which stands; `none` where
        there is no MLflow run.
    """
    from ml.tracking import runs

    context = anew(dag_id, run_id)
    with runs.mapped(context.settings.mlflow_uri):
        run = runs.find_run(context.tracker, context.key)
        if run is None:
            return "none"
        context.run = run
        if run.data.params.get("tune.method", "none") != "none":
            runs.close_children(context.tracker, run)
        status = runs.close(context.tracker, run)
        return "UNREPORTED" if status == "FAILED" and Outcome.of(run.data.tags).decided else status


def mail(dag_id: str, run_id: str) -> dict[str, Any]:
    """The mail about a run: `{"to": [...], "subject", "html"}`; nothing where the configuration wants no mail."""
    from ml.steps import reporting
    from ml.tracking import runs

    context = anew(dag_id, run_id)
    with runs.mapped(context.settings.mlflow_uri):
        report = _report(context)
    try:
        wanted = context.config.notification
    except PipelineError:
        # The run ended before its configuration was settled.
        wanted = base_config(context.settings.pipeline_file).notification
    if not wanted.to or not (wanted.on_success if report.outcome.succeeded else wanted.on_failure):
        return {}
    return {"to": list(wanted.to), "subject": reporting.subject(report), "html": reporting.html(report)}


def _report(context: Context) -> RunReport:
    from ml.steps import reporting
    from ml.tracking import runs

    run = runs.find_run(context.tracker, context.key)
    if run is None:
        tags = error_tags(FIRST_TASK, "", "it ended before its MLflow run was opened; see the task's log.")
        default = base_config(context.settings.pipeline_file).model.name
        links = {"DAG run in Airflow": context.airflow_link()}
        return reporting.RunReport(context.dag_id, context.run_id, default, Outcome.of(tags), links=links)
    context.run = run
    tags, name = run.data.tags, _model_of(context, run)
    links = context.links(name, tags.get("model.version")) | {"Live service": context.settings.serving_url}
    metrics = {key: value for key, value in sorted(run.data.metrics.items()) if key.startswith("test_")}
    return reporting.RunReport(context.dag_id, context.run_id, name, Outcome.of(tags), metrics, links)


def _model_of(context: Context, run: Run) -> str:
    """The model that a run is about, however far it got: its experiment is called after it from the start."""
    name = run.data.tags.get("model.name") or run.data.params.get("model.name")
    return name or str(context.tracker.get_experiment(run.info.experiment_id).name)


def links(dag_id: str, run_id: str) -> dict[str, str | None]:
    """The addresses of the run and of its version in MLflow; None for what is not there yet."""
    from ml.tracking import runs

    context = recent(dag_id, run_id)
    with runs.mapped(context.settings.mlflow_uri):
        try:
            run = context.run
        except BadInput:
            return {"run": None, "model": None}
        version = context.version or run.data.tags.get("model.version")
        model = context.version_link(run.data.params.get("model.name", ""), version) if version else None
        return {"run": context.run_link(), "model": model}
