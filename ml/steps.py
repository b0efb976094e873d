"""One function per task of the DAG: small values in, a reference out; what is heavy is imported inside.

An entry point: each step reads its settings from the environment. Every step can be run again, after a kill or by
hand, and finds what the earlier try made. What flows from one to the next is in S3 under the run's key.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml import address
from ml import config as configuration
from ml.config import PipelineConfig
from ml.context import Context, base_config, step
from ml.decide import answer, approval, note_champion, promote, unanswered
from ml.errors import ApprovalTimedOut, PipelineError
from ml.outcome import close_run, links, mail
from ml.search import choose, is_tuned, plan, try_candidate
from ml.settings import allowed_sources
from ml.tracking import rollout_id, run_key

if TYPE_CHECKING:
    from ml.read import RawTable
    from ml.storage import Store

log = logging.getLogger(__name__)


def form_defaults() -> dict[str, Any]:
    """The defaults of the trigger form, from the file that `TRACKYARD_PIPELINE_FILE` names, if it does."""
    return configuration.form_defaults(base_config(os.environ.get("TRACKYARD_PIPELINE_FILE")))


def address_pattern() -> str:
    """The pattern of the addresses that data may be read from, by the settings in the environment."""
    return address.form_pattern(allowed_sources(os.environ))


@step("load_data_task")
def load(context: Context, params: Mapping[str, Any], triggered: str = "") -> str:
    """Opens the run, settles its configuration, and keeps a checked snapshot of the data.

    Args:
        context: Given as `dag_id, run_id`.
        params: The fields of the trigger form.
        triggered: When Airflow was asked for the DAG run, ISO 8601; it tells it from an earlier one of the same id.

    Returns:
        The MLflow run's id.

    Raises:
        Misconfigured: The parameters are not allowed.
        BadInput: The data cannot be read, or breaks the contract.
        Unavailable: MLflow or S3 does not answer.
    """
    from ml import attempt, columns, contract, profile, tracking

    attempt.set_aside(context.tracker, context.store, context.key, triggered)
    base = base_config(context.settings.pipeline_file)
    note = " ".join(str(params.get("note") or "").split())[:1000]
    try:
        asked, problem = configuration.config_from_trigger(base, params), None
    except PipelineError as error:
        # The run is opened all the same, so that there is a place that says what was wrong.
        asked, problem = base, error
    mlflow_run_id = tracking.open_run(
        context.tracker, asked.model.name, context.run_id, _run_tags(context, note, triggered)
    )
    tracking.begin_step(context.tracker, context.run)
    if problem is not None:
        raise problem
    settled = _settle(context, asked)
    raw, name = read_source(context.store, settled)
    frame = contract.check(raw.frame, settled, name, raw.commas)
    readings = columns.columns_of(raw.frame, settled, raw.commas)
    described_columns = columns.described(readings, settled, raw)
    context.store.write_json(described_columns, context.path("columns.json"))
    for line in columns.told(described_columns):
        log.info("%s", line)
    snapshot = context.store.write_parquet(frame, context.path("raw.parquet"))
    about = tracking.TableNote(name, snapshot, "raw", settled.data.target, context.key)
    digest = tracking.log_table(context.tracker, mlflow_run_id, frame, about)
    described = profile.profile(frame)
    files = {
        "data_profile.json": json.dumps(described, indent=1).encode(),
        "columns.json": json.dumps(described_columns, indent=1).encode(),
    }
    tracking.log_files(context.tracker, mlflow_run_id, files)
    context.store.write_json(described, context.path("profile.json"))
    tags = {
        "data.digest": digest,
        "data.uri": address.shown(settled.data.uri) or "generated",
        "data.rows": str(len(frame)),
        "data.columns": str(len(frame.columns)),
    }
    params = {key: text for key, text in configuration.flatten(settled).items() if not is_tuned(settled, key)}
    params["data.uri"] = address.shown(settled.data.uri)
    tracking.write(context.tracker, mlflow_run_id, params=params, tags=tags)
    log.info("rows=%d columns=%d digest=%s source=%s", *frame.shape, digest, name)
    return mlflow_run_id


def _settle(context: Context, asked: PipelineConfig) -> PipelineConfig:
    """The configuration that a first try kept, or this one, which is then kept for the steps to come."""
    from ml import source

    key = context.path("config.json")
    if context.store.exists(key):
        return context.config
    if asked.data.uri:
        source.refuse(asked.data.uri, context.store, context.settings.data_hosts)
    else:
        source.refuse_default(asked)
    context.store.write_json(asked.as_dict(), key)
    return asked


def read_source(store: Store, settled: PipelineConfig) -> tuple[RawTable, str]:
    """The table that a configuration names, and what to call it; `load` says what is raised."""
    from ml import source

    return source.read(settled, store, allowed_sources(os.environ).hosts)


def _run_tags(context: Context, note: str, triggered: str) -> dict[str, str]:
    from ml import attempt, provenance, report

    link = context.airflow_link()
    origin = provenance.tags(context.settings.git_commit, link)
    about = report.RunReport(context.dag_id, context.run_id, True, "", links={"DAG run in Airflow": link})
    tags = {
        **origin,
        "run_key": context.key,
        "airflow.dag_id": context.dag_id,
        "airflow.run_id": context.run_id,
        "airflow.url": link,
        attempt.TRIGGERED_TAG: triggered,
        "mlflow.note.content": report.note(about, note),
        "note": note,
    }
    return {name: value for name, value in tags.items() if value}


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
    roles = decide.decide_roles(frame, context.config, context.columns)
    for name, why in roles.left_out.items():
        log.info("column=%r is left out: %s", name, why)
    train, test = decide.split_rows(frame, context.config)
    context.store.write_json({"train": train.tolist(), "test": test.tolist()}, context.path("rows.json"))
    decided = {"roles": roles.as_dict(), "rows": f"{context.path('rows.json')}"}
    address = context.store.write_json(decided, context.path("split.json"))
    params = {
        "features.numeric": ", ".join(roles.numeric),
        "features.categorical": ", ".join(roles.categorical) or "none",
        "features.left_out": "; ".join(f"{name}: {why}" for name, why in roles.left_out.items()) or "none",
        "preprocessing.min_frequency.used": str(roles.min_frequency),
        "target.positive": str(roles.positive),
        "split.train_rows": str(len(train)),
        "split.test_rows": str(len(test)),
    }
    tracking.write(context.tracker, context.mlflow_run_id, params=params)
    return address


@step("separate_data_outputs_task")
def separate(context: Context) -> list[int]:
    """Separates features and target of both parts: four tables in S3, logged as training and test data.

    Returns:
        The numbers of the candidates that a search tries on them; none without a search.
    """
    import pandas as pd

    from ml import learned_rows, tracking
    from ml import preprocess as decide

    frame, roles = context.table("raw"), context.roles
    positions = context.store.read_json(context.split["rows"])
    for part, context_name in (("train", "training"), ("test", "test")):
        rows = frame.iloc[positions[part]]
        features, target = decide.features_of(rows, roles), decide.target_of(rows, roles)
        if part == "train":
            context.store.write_parquet(learned_rows.table(features, target), context.path(learned_rows.FILE))
        where = context.store.write_parquet(features, context.path(f"X_{part}.parquet"))
        context.store.write_parquet(target.to_frame(), context.path(f"y_{part}.parquet"))
        whole = pd.concat([features, target], axis="columns")
        about = tracking.TableNote(f"{part} part", where, context_name, roles.target, context.key)
        tracking.log_table(context.tracker, context.mlflow_run_id, whole, about)
    return plan(context)


@step("build_save_model_task")
def train(context: Context) -> str:
    """Fits the Pipeline on the training part, logs it, and registers the version.

    Returns:
        The version's number, as text; the same one when the step is run again.

    Raises:
        BadInput: scikit-learn refuses the parameters for these rows.
    """
    from ml import curves, estimators, evaluate, logged_images, model_log, provenance, registry, tracking
    from ml import preprocess as decide

    name, seed = context.config.model.name, context.config.split.random_state
    registered = registry.find_versions(context.tracker, name, context.key)
    if registered:
        log.info("version=%s was registered by an earlier try", registered[0].version)
        return str(registered[0].version)
    choose(context)
    features, target = decide.features_of(context.table("X_train"), context.roles), context.target("train")
    pipeline = estimators.fit(decide.build_pipeline(context.config, context.roles), features, target)
    readings = model_log.readings_of(context.roles.columns, context.commas)
    logged = model_log.log_once(context.tracker, context.run, pipeline, features, readings)
    found = evaluate.metrics(target, evaluate.probabilities(pipeline, features), "train")
    found |= curves.validation(pipeline, features, target, context.config.split.folds, seed)
    tracking.write_metrics(context.tracker, context.run, found, logged.model_id)
    logged_images.write_series(context.tracker, context.run, curves.learning(pipeline, features, target, seed))
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
    return registry.register_while_open(context.tracker, name, logged.model_id, context.mlflow_run_id, tags)


@step("load_model_task")
def evaluate(context: Context, version: str) -> str:
    """Pulls the version from the registry and evaluates it on rows that training never saw.

    Returns:
        The version's number.

    Raises:
        Untrusted: What the registry holds is not what was trained, or nobody could ask it by its signature.
    """
    from ml import evaluate as score
    from ml import proof, story, tracking
    from ml.promotion import pull

    features, target = context.test_part()
    pulled = pull(context, version)
    proof.answers_by_signature(pulled, features)
    probability = score.probabilities(pulled.pipeline, features)
    found = score.metrics(target, probability, "test")
    tracking.write_metrics(context.tracker, context.run, found, pulled.model_id)
    story.tell(context, pulled, features, target, probability)
    log.info("version=%s %s", version, " ".join(f"{name}={value:.6f}" for name, value in found.items()))
    return version


__all__ = [
    "ApprovalTimedOut", "address_pattern", "answer", "approval", "close_run", "evaluate", "form_defaults", "links",
    "load", "mail", "note_champion", "preprocess", "promote", "rollout_id", "run_key", "separate", "train",
    "try_candidate", "unanswered",
]  # fmt: skip
