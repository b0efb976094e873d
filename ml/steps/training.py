"""The steps that fit a model and evaluate the registered version; what is heavy is imported inside.

Effects: MLflow and S3; `ml.steps` says what holds for every step.
"""

from __future__ import annotations

import logging

from ml.steps.context import Context, step
from ml.steps.search import choose

log = logging.getLogger(__name__)


@step("build_save_model_task")
def train(context: Context) -> str:
    """Fits the Pipeline on the training part, logs it, and registers the version.

    Returns:
        The version's number, as text; the same one when the step is run again.

    Raises:
        BadInput: scikit-learn refuses the parameters for these rows.
    """
    from ml.config import estimators
    from ml.evaluation import metrics as evaluate
    from ml.registry import model_logging, versions
    from ml.tracking import provenance, runs
    from ml.training.pipeline import build_pipeline

    name = context.config.model.name
    registered = versions.find_versions(context.tracker, name, context.key)
    if registered:
        context.version = str(registered[0].version)
        log.info("version=%s was registered by an earlier try", context.version)
        return context.version
    choose(context)
    features, target = context.part("train")
    pipeline = estimators.fit(build_pipeline(context.config, context.roles), features, target)
    readings = model_logging.readings_of(context.roles.columns, context.commas)
    logged = model_logging.log_once(context.tracker, context.run, pipeline, features, readings)
    metrics = evaluate.metrics(target, evaluate.probabilities(pipeline, features), "train")
    runs.write_metrics(context.tracker, context.run, metrics, logged.model_id)
    run_tags = context.run.data.tags
    kept = ("data.digest", "data.uri", "git.commit", provenance.DIRTY_TAG, provenance.LOCK_TAG)
    tags = {
        "run_key": context.key,
        "airflow.dag_id": context.dag_id,
        "airflow.run_id": context.run_id,
        "model.sha256": logged.sha256,
        "model.example": logged.example,
        provenance.NUMERICS_TAG: provenance.numerics(),
        **{tag: run_tags[tag] for tag in kept if tag in run_tags},
    }
    context.version = versions.register_while_open(context.tracker, name, logged.model_id, context.mlflow_run_id, tags)
    return context.version


@step("load_model_task")
def evaluate(context: Context, version: str) -> str:
    """Pulls the version from the registry and evaluates it on rows that training never saw.

    Returns:
        The version's number.

    Raises:
        Untrusted: What the registry holds is not what was trained, or nobody could ask it by its signature.
    """
    from ml.evaluation import metrics as score
    from ml.registry import serving_check
    from ml.steps.evidence import pull
    from ml.tracking import runs
    from ml.tracking.outcome import PENDING, REPORT

    context.version = version
    # From here on the run owes a report.
    runs.write(context.tracker, context.mlflow_run_id, tags={REPORT: PENDING})
    features, target = context.part("test")
    pulled = pull(context, version)
    serving_check.answers_by_signature(pulled, features)
    probability = score.probabilities(pulled.pipeline, features)
    metrics = score.metrics(target, probability, "test")
    runs.write_metrics(context.tracker, context.run, metrics, pulled.model_id)
    log.info("version=%s %s", version, " ".join(f"{name}={value:.6f}" for name, value in metrics.items()))
    return version
