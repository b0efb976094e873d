"""What is done and told once a DAG run is over, however it went. Effects: MLflow and S3; `ml.steps` offers these.

Unlike the steps these record no error on the run: they say how it ended and must not change that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.errors import BadInput, PipelineError
from ml.steps.context import Context, base_config, recent

if TYPE_CHECKING:
    from mlflow.entities import Run

    from ml.steps.reporting import RunReport


def close_run(dag_id: str, run_id: str) -> str:
    """Ends the MLflow run with the status that fits what happened.

    Returns:
        `FINISHED`, `FAILED` or `KILLED`; `none` where there is no MLflow run.
    """
    from ml.tracking import runs

    context = Context(dag_id, run_id)
    with runs.mapped(context.settings.mlflow_uri):
        found = runs.find_run(context.tracker, context.key)
        if found is None:
            return "none"
        if found.data.params.get("tune.method", "none") != "none":
            runs.close_children(context.tracker, found)
        return runs.close(context.tracker, found)


def mail(dag_id: str, run_id: str) -> dict[str, Any]:
    """The mail about a run.

    Returns:
        `{"to": [...], "subject", "html"}`, or nothing where the configuration wants no mail.
    """
    from ml.steps import reporting
    from ml.tracking import runs

    context = Context(dag_id, run_id)
    with runs.mapped(context.settings.mlflow_uri):
        told = _report(context)
    try:
        wanted = context.config.notification
    except PipelineError:
        # The run ended before its configuration was settled.
        wanted = base_config(context.settings.pipeline_file).notification
    if not wanted.to or not (wanted.on_success if told.succeeded else wanted.on_failure):
        return {}
    return {
        "to": list(wanted.to),
        "subject": reporting.subject(told),
        "html": reporting.html(told),
    }


def _report(context: Context) -> RunReport:
    from ml.steps import reporting
    from ml.tracking import runs

    found = runs.find_run(context.tracker, context.key)
    links = {"DAG run in Airflow": context.airflow_link()}
    default = base_config(context.settings.pipeline_file).model.name
    if found is None:
        message = "it ended before its MLflow run was opened; see the task's log."
        return reporting.RunReport(
            context.dag_id, context.run_id, False, default,
            failed_task="load_data_task", message=message, links=links,
        )  # fmt: skip
    tags = found.data.tags
    links["Run in MLflow"] = context.run_link()
    name, version = _model_of(context, found), tags.get("model.version")
    if version:
        links["Model version"] = context.version_link(name, version)
    links["Live service"] = context.settings.serving_url
    return reporting.RunReport(
        context.dag_id,
        context.run_id,
        tags.get(runs.OUTCOME) == "success",
        name,
        version,
        tags.get("promotion.champion") == "true",
        tags.get("promotion.reason", ""),
        {key: value for key, value in sorted(found.data.metrics.items()) if key.startswith("test_")},
        tags.get("error.task"),
        tags.get("error.message", ""),
        links,
        tags.get("error.type") == "GateFailed",
    )


def _model_of(context: Context, run: Run) -> str:
    """The model that a run is about, however far it got: its experiment is called after it from the start."""
    known = run.data.tags.get("model.name") or run.data.params.get("model.name")
    return known or str(context.tracker.get_experiment(run.info.experiment_id).name)


def links(dag_id: str, run_id: str) -> dict[str, str | None]:
    """The addresses of the run and of its version in MLflow; None for what is not there yet."""
    from ml.registry import versions as registry
    from ml.tracking import runs

    context = recent(dag_id, run_id)
    with runs.mapped(context.settings.mlflow_uri):
        try:
            found = context.run
        except BadInput:
            return {"run": None, "model": None}
        # Without that parameter the run has not got as far as a version, or this task opened it.
        name = found.data.params.get("model.name", "")
        versions = registry.find_versions(context.tracker, name, context.key) if name else []
        model = context.version_link(name, str(versions[0].version)) if versions else None
        return {"run": context.run_link(), "model": model}
