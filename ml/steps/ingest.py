"""The steps that load a data set, split it, and separate features from the target.

Effects: MLflow and S3; `ml.steps` says what holds for every step.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from ml.config import loading as configuration
from ml.config.schema import PipelineConfig
from ml.data import addresses as address
from ml.errors import PipelineError
from ml.steps.context import RUN_FILE, TAKEN_BACK, Context, step
from ml.steps.search import is_tuned, plan

log = logging.getLogger(__name__)


@step("load_data_task")
def load(context: Context, params: Mapping[str, Any], triggered: str = "") -> str:
    """Opens the run, settles its configuration, and keeps a checked snapshot of the data.

    `params` are the fields of the trigger form. `triggered`, when Airflow was asked for the DAG run (ISO 8601), tells
    it from an earlier one of the same id.

    Returns:
        The MLflow run's id.

    Raises:
        Misconfigured: The parameters are not allowed.
        BadInput: The data cannot be read, or breaks the contract.
        Unavailable: MLflow or S3 does not answer.
    """
    from ml.steps import earlier_attempt
    from ml.tracking import runs

    run = earlier_attempt.set_aside(context.tracker, context.store, context.key, triggered)
    base = configuration.base_config(context.settings.pipeline_file)
    note = " ".join(str(params.get("note") or "").split())[:1000]
    try:
        asked, problem = configuration.config_from_trigger(base, params), None
    except PipelineError as error:
        # The run is opened all the same, so that there is a place that says what was wrong.
        asked, problem = base, error
    context.run = run or runs.make_run(
        context.tracker, asked.model.name, context.run_id, _run_tags(context, note, triggered)
    )
    runs.begin_step(context.tracker, context.run, TAKEN_BACK)
    if problem is not None:
        raise problem
    context.store.write_json(context.mlflow_run_id, context.path(RUN_FILE))
    _keep(context, _settle(context, asked))
    return context.mlflow_run_id


def _keep(context: Context, settled: PipelineConfig) -> None:
    """Reads and checks the data, keeps it as a snapshot, and tells the run what it is."""
    from ml.data import sources
    from ml.inspection import profile
    from ml.reading import columns, contract
    from ml.tracking import runs

    raw, name = sources.read(settled, context.store, context.settings.data_hosts)
    readings = columns.columns_of(raw.frame, settled, raw.commas)
    frame = contract.check(raw.frame, settled, name, readings, raw.commas)
    described_columns = columns.described(readings, settled, raw)
    context.store.write_json(described_columns, context.path("columns.json"))
    for line in columns.told(described_columns):
        log.info("%s", line)
    snapshot = context.store.write_parquet(frame, context.path("raw.parquet"))
    about = runs.TableNote(name, snapshot, "raw", settled.data.target, context.key)
    digest = runs.log_table(context.tracker, context.mlflow_run_id, frame, about)
    described = profile.profile(frame)
    files = {
        "data_profile.json": json.dumps(described, indent=1).encode(),
        "columns.json": json.dumps(described_columns, indent=1).encode(),
    }
    runs.log_files(context.tracker, context.run, files)
    context.store.write_json(described, context.path("profile.json"))
    tags = {
        "data.digest": digest,
        "data.uri": address.shown(settled.data.uri) or "generated",
        "data.rows": str(len(frame)),
        "data.columns": str(len(frame.columns)),
    }
    params = {key: text for key, text in configuration.flatten(settled).items() if not is_tuned(settled, key)}
    params["data.uri"] = address.shown(settled.data.uri)
    runs.write(context.tracker, context.mlflow_run_id, params=params, tags=tags)
    log.info("rows=%d columns=%d digest=%s source=%s", *frame.shape, digest, name)


def _settle(context: Context, asked: PipelineConfig) -> PipelineConfig:
    """The configuration that a first try kept, or this one, which is then kept for the steps to come."""
    from ml.data import sources

    key = context.path("config.json")
    if context.store.exists(key):
        return context.config
    if asked.data.uri:
        sources.refuse(asked.data.uri, context.store, context.settings.data_hosts)
    else:
        sources.refuse_default(asked)
    context.store.write_json(asked.as_dict(), key)
    return asked


def _run_tags(context: Context, note: str, triggered: str) -> dict[str, str]:
    from ml.steps import earlier_attempt, reporting
    from ml.tracking import provenance

    link = context.airflow_link()
    tags = {
        **provenance.tags(context.settings.git_commit, link),
        "run_key": context.key,
        "airflow.dag_id": context.dag_id,
        "airflow.run_id": context.run_id,
        "airflow.url": link,
        earlier_attempt.TRIGGERED_TAG: triggered,
        "mlflow.note.content": reporting.note(context.dag_id, context.run_id, {"DAG run in Airflow": link}, note),
        "note": note,
    }
    return {name: value for name, value in tags.items() if value}


@step("data_preprocessing_task")
def preprocess(context: Context) -> str:
    """Splits the rows by the seed, decides what each column is to the model, and returns the S3 address of that.

    Raises:
        ContractViolation: A part would have one class only, or there is nothing to learn from.
    """
    from ml.tracking import runs
    from ml.training import features as decide

    frame = context.table("raw")
    roles = decide.decide_roles(frame, context.config, context.columns)
    for name, why in roles.left_out.items():
        log.info("column=%r is left out: %s", name, why)
    train, test = decide.split_rows(frame, context.config)
    # Without indents, which would take most of the time of a million rows.
    positions = json.dumps({"train": train.tolist(), "test": test.tolist()})
    context.store.write_bytes(positions.encode(), context.path("rows.json"))
    address = context.store.write_json({"roles": roles.as_dict()}, context.path("split.json"))
    params = {
        "features.numeric": ", ".join(roles.numeric),
        "features.categorical": ", ".join(roles.categorical) or "none",
        "features.left_out": "; ".join(f"{name}: {why}" for name, why in roles.left_out.items()) or "none",
        "preprocessing.min_frequency.used": str(roles.min_frequency),
        "target.positive": str(roles.positive),
        "split.train_rows": str(len(train)),
        "split.test_rows": str(len(test)),
    }
    runs.write(context.tracker, context.mlflow_run_id, params=params)
    return address


@step("separate_data_outputs_task")
def separate(context: Context) -> list[int]:
    """Separates features and target of both parts: four tables in S3, logged as training and test data.

    It returns the numbers of the candidates that a search tries on them; none without a search.
    """
    import pandas as pd

    from ml.gate import learned_rows
    from ml.tracking import runs
    from ml.training import features as decide

    roles = context.roles
    frame = context.table("raw", [*roles.features, roles.target])
    for part, context_name in (("train", "training"), ("test", "test")):
        rows = frame.iloc[context.positions[part]]
        features, target = decide.features_of(rows, roles), decide.target_of(rows, roles)
        if part == "train":
            context.store.write_parquet(learned_rows.table(features, target), context.path(learned_rows.FILE))
        where = context.store.write_parquet(features, context.path(f"X_{part}.parquet"))
        context.store.write_parquet(target.to_frame(), context.path(f"y_{part}.parquet"))
        whole = pd.concat([features, target], axis="columns")
        about = runs.TableNote(f"{part} part", where, context_name, roles.target, context.key)
        runs.log_table(context.tracker, context.mlflow_run_id, whole, about)
    return plan(context)
