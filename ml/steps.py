"""One function per task of the DAG: small values in, a reference out; what is heavy is imported inside.

An entry point: each step reads its settings from the environment. Every step can be run again, after a kill or by
hand, and finds what the earlier try made. What flows from one to the next is in S3 under the run's key.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml import config as configuration
from ml.config import PipelineConfig
from ml.context import Context, base_config, step
from ml.errors import PipelineError, StaleCandidate
from ml.outcome import close_run, links, mail
from ml.tracking import run_key

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def form_defaults() -> dict[str, Any]:
    """The defaults of the trigger form, from the file that `TRACKYARD_PIPELINE_FILE` names, if it does."""
    return configuration.form_defaults(base_config(os.environ.get("TRACKYARD_PIPELINE_FILE")))


@step("load_data_task")
def load(context: Context, params: Mapping[str, Any]) -> str:
    """Opens the run, settles its configuration, and keeps a checked snapshot of the data.

    Args:
        context: Given as `dag_id, run_id`.
        params: The fields of the trigger form.

    Returns:
        The MLflow run's id.

    Raises:
        Misconfigured: The parameters are not allowed.
        BadInput: The data cannot be read, or breaks the contract.
        Unavailable: MLflow or S3 does not answer.
    """
    from ml import contract, tracking

    base = base_config(context.settings.pipeline_file)
    note = " ".join(str(params.get("note") or "").split())[:1000]
    try:
        asked, problem = configuration.config_from_trigger(base, params), None
    except PipelineError as error:
        # The run is opened all the same, so that there is a place that says what was wrong.
        asked, problem = base, error
    mlflow_run_id = tracking.open_run(context.tracker, asked.model.name, context.run_id, _run_tags(context, note))
    tracking.begin_step(context.tracker, context.run)
    if problem is not None:
        raise problem
    settled = _settle(context, asked)
    raw, source = _read(context, settled)
    frame = contract.check(raw, settled, source)
    snapshot = context.store.write_parquet(frame, context.path("raw.parquet"))
    about = tracking.TableNote(source, snapshot, "raw", settled.data.target)
    digest = tracking.log_table(context.tracker, mlflow_run_id, frame, about)
    tags = {"data.digest": digest, "data.uri": settled.data.uri or "generated", "data.rows": str(len(frame))}
    tracking.write(context.tracker, mlflow_run_id, params=configuration.flatten(settled), tags=tags)
    log.info("rows=%d columns=%d digest=%s source=%s", *frame.shape, digest, source)
    return mlflow_run_id


def _settle(context: Context, asked: PipelineConfig) -> PipelineConfig:
    """The configuration that a first try kept, or this one, which is then kept for the steps to come."""
    key = context.path("config.json")
    if context.store.exists(key):
        return context.config
    if asked.data.uri:
        context.store.locate(asked.data.uri)
    context.store.write_json(asked.as_dict(), key)
    return asked


def _run_tags(context: Context, note: str) -> dict[str, str]:
    from ml import report

    link = context.airflow_link()
    about = report.RunReport(context.dag_id, context.run_id, True, "", links={"DAG run in Airflow": link})
    tags = {
        "run_key": context.key,
        "airflow.dag_id": context.dag_id,
        "airflow.run_id": context.run_id,
        "airflow.url": link,
        "mlflow.note.content": report.note(about, note),
        "note": note,
        "git.commit": context.settings.git_commit,
    }
    return {name: value for name, value in tags.items() if value}


def _read(context: Context, settled: PipelineConfig) -> tuple[pd.DataFrame, str]:
    from ml import generate, read

    data = settled.data
    if not data.uri:
        rows, seed = data.generate.rows, data.generate.seed
        return generate.generate(rows, seed), f"generated-{rows}-rows-seed-{seed}"
    content = context.store.read_bytes(data.uri, data.max_bytes)
    name = data.uri.rsplit("/", 1)[-1]
    return read.read_table(content, name, data.max_bytes, data.max_rows), name


@step("data_preprocessing_task")
def preprocess(context: Context) -> str:
    """Splits the rows by the seed and decides what each column is to the model.

    Returns:
        The S3 address of the decisions.

    Raises:
        ContractViolation: A part would have one class only, or there is nothing to learn from.
    """
    from ml import preprocess as decide
    from ml import tracking

    frame = context.table("raw")
    roles = decide.decide_roles(frame, context.config)
    train, test = decide.split_rows(frame, context.config)
    context.store.write_json({"train": train.tolist(), "test": test.tolist()}, context.path("rows.json"))
    decided = {"roles": roles.as_dict(), "rows": f"{context.path('rows.json')}"}
    address = context.store.write_json(decided, context.path("split.json"))
    params = {
        "features.numeric": ", ".join(roles.numeric),
        "features.categorical": ", ".join(roles.categorical) or "none",
        "target.positive": str(roles.positive),
        "split.train_rows": str(len(train)),
        "split.test_rows": str(len(test)),
    }
    tracking.write(context.tracker, context.mlflow_run_id, params=params)
    return address


@step("separate_data_outputs_task")
def separate(context: Context) -> str:
    """Separates features and target of both parts: four tables in S3, logged as training and test data.

    Returns:
        The S3 address below which they are.
    """
    import pandas as pd

    from ml import preprocess as decide
    from ml import tracking

    frame, roles = context.table("raw"), context.roles
    positions = context.store.read_json(context.split["rows"])
    for part, context_name in (("train", "training"), ("test", "test")):
        rows = frame.iloc[positions[part]]
        features, target = decide.features_of(rows, roles), decide.target_of(rows, roles)
        where = context.store.write_parquet(features, context.path(f"X_{part}.parquet"))
        context.store.write_parquet(target.to_frame(), context.path(f"y_{part}.parquet"))
        whole = pd.concat([features, target], axis="columns")
        about = tracking.TableNote(f"{part} part", where, context_name, roles.target)
        tracking.log_table(context.tracker, context.mlflow_run_id, whole, about)
    return f"s3://{context.store.bucket}/runs/{context.key}"


@step("build_save_model_task")
def train(context: Context) -> str:
    """Fits the Pipeline on the training part, logs it, and registers the version.

    Returns:
        The version's number, as text; the same one when the step is run again.
    """
    from ml import evaluate, model_log, registry, tracking
    from ml import preprocess as decide

    name = context.config.model.name
    registered = registry.find_versions(context.tracker, name, context.key)
    if registered:
        log.info("version=%s was registered by an earlier try", registered[0].version)
        return str(registered[0].version)
    features, target = decide.features_of(context.table("X_train"), context.roles), context.target("train")
    pipeline = decide.build_pipeline(context.config, context.roles).fit(features, target)
    logged = model_log.log_once(context.tracker, context.run, pipeline, features)
    found = evaluate.metrics(target, evaluate.probabilities(pipeline, features), "train")
    tracking.write_metrics(context.tracker, context.run, found, logged.model_id)
    run_tags = context.run.data.tags
    tags = {
        "run_key": context.key,
        "airflow.dag_id": context.dag_id,
        "airflow.run_id": context.run_id,
        "data.digest": run_tags.get("data.digest", ""),
        "git.commit": run_tags.get("git.commit", ""),
        "model.sha256": logged.sha256,
        "model.example": logged.example,
    }
    return registry.register(context.tracker, name, logged.model_id, context.mlflow_run_id, tags)


@step("load_model_task")
def evaluate(context: Context, version: str) -> str:
    """Pulls the version from the registry and evaluates it on rows that training never saw.

    Returns:
        The version's number.

    Raises:
        Untrusted: What the registry holds is not what was trained.
    """
    from ml import evaluate as score
    from ml import plots, registry, tracking
    from ml.promotion import pull

    features, target = context.test_part()
    pulled = pull(context, version)
    probability = score.probabilities(pulled.pipeline, features)
    found = score.metrics(target, probability, "test")
    tracking.write_metrics(context.tracker, context.run, found, pulled.model_id)
    files = plots.plots(pulled.pipeline, target, probability)
    tracking.log_files(context.tracker, context.mlflow_run_id, files, "plots")
    registry.write_version_tags(context.tracker, pulled.name, version, {"validation": "passed"})
    log.info("version=%s %s", version, " ".join(f"{name}={value:.6f}" for name, value in found.items()))
    return version


@step("promote_model_task")
def promote(context: Context, version: str) -> dict[str, Any]:
    """Makes the version challenger, and champion if there is none or it is not worse on the same held-out rows.

    Returns:
        `{"version", "champion": bool, "reason": text, "metrics": {...}}`.
    """
    from ml import promotion, registry, tracking

    name = context.config.model.name
    registry.challenge(context.tracker, name, version)
    found = {key: value for key, value in context.run.data.metrics.items() if key.startswith("test_")}
    current = registry.aliases(context.tracker, name).get(registry.CHAMPION)
    accepted, reason = promotion.judge(context, version, found, current)
    if accepted:
        try:
            registry.promote(context.tracker, name, version, only_forward=True)
        except StaleCandidate as error:
            accepted, reason = False, str(error)
    tags = {
        "promotion.champion": str(accepted).lower(),
        "promotion.reason": reason,
        "model.name": name,
        "model.version": version,
        "outcome": "success",
    }
    tracking.write(context.tracker, context.mlflow_run_id, tags=tags)
    log.info("version=%s champion=%s reason=%s", version, accepted, reason)
    return {"version": version, "champion": accepted, "reason": reason, "metrics": found}


__all__ = [
    "close_run", "evaluate", "form_defaults", "links", "load", "mail", "preprocess", "promote", "run_key", "separate",
    "train",
]  # fmt: skip
