"""One function per task of the DAG: small values in, a reference out; what is heavy is imported inside.

An entry point: each step reads its settings from the environment. Every step can be run again, after a kill or by
hand, and finds what the earlier try made. What flows from one to the next is in S3 under the run's key.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from ml import config as configuration
from ml.config import PipelineConfig
from ml.errors import BadInput, PipelineError, Rejected, StaleCandidate, UnreadableData
from ml.settings import TaskSettings
from ml.tracking import run_key

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from ml.load import LoadedModel
    from ml.preprocess import Roles
    from ml.storage import Store

log = logging.getLogger(__name__)

Result = TypeVar("Result")
_TABLES = ("X_train", "X_test", "y_train", "y_test")


def form_defaults() -> dict[str, Any]:
    """The defaults of the trigger form, from the file that `TRACKYARD_PIPELINE_FILE` names, if it does."""
    return configuration.form_defaults(_base(os.environ.get("TRACKYARD_PIPELINE_FILE")))


def _base(pipeline_file: str | Path | None) -> PipelineConfig:
    path = Path(pipeline_file) if pipeline_file else None
    return configuration.load_config(path if path and path.exists() else None)


class _Context:
    """What a step works with: the clients, the run's key, and its configuration once that is known."""

    def __init__(self, dag_id: str, run_id: str, settings: TaskSettings | None = None) -> None:
        self.dag_id = dag_id
        self.run_id = run_id
        self.settings = settings or TaskSettings.from_env(os.environ)
        self.key = run_key(dag_id, run_id)

    @cached_property
    def store(self) -> Store:
        from ml.storage import Store

        return Store.from_settings(self.settings)

    @cached_property
    def tracker(self) -> MlflowClient:
        from ml import tracking

        return tracking.client(self.settings.mlflow_uri)

    @cached_property
    def run(self) -> Run:
        """The MLflow run; a step after the first finds it there."""
        from ml import tracking

        found = tracking.find_run(self.tracker, self.key)
        if found is None:
            raise BadInput(f"DAG run {self.run_id} has no MLflow run: clear load_data_task and what follows it")
        return found

    @property
    def mlflow_run_id(self) -> str:
        return str(self.run.info.run_id)

    @cached_property
    def config(self) -> PipelineConfig:
        """The configuration that the first step settled; a task that is cleared later works with the same one."""
        return configuration.parse_config(self.store.read_json(self.path("config.json")))

    @cached_property
    def split(self) -> dict[str, Any]:
        """What `preprocess` decided: roles and the rows of both parts."""
        found: dict[str, Any] = self.store.read_json(self.path("split.json"))
        return found

    @cached_property
    def roles(self) -> Roles:
        from ml.preprocess import Roles

        return Roles.from_dict(self.split["roles"])

    def path(self, name: str) -> str:
        return f"runs/{self.key}/{name}"

    def table(self, name: str) -> pd.DataFrame:
        return self.store.read_parquet(self.path(f"{name}.parquet"))

    def test_part(self) -> tuple[pd.DataFrame, pd.Series]:
        return self.table("X_test"), self.table("y_test")[self.roles.target]

    def airflow_link(self) -> str:
        return f"{self.settings.airflow_url}/dags/{quote(self.dag_id)}/runs/{quote(self.run_id, safe='')}"

    def run_link(self) -> str:
        info = self.run.info
        return f"{self.settings.mlflow_url}/#/experiments/{info.experiment_id}/runs/{info.run_id}"

    def version_link(self, name: str, version: str) -> str:
        return f"{self.settings.mlflow_url}/#/models/{quote(name)}/versions/{version}"


def _step(task: str) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Wraps a step: marks the run as running again, and records on it why the step failed before it does."""

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        @wraps(function)
        def wrapped(dag_id: str, run_id: str, *arguments: Any, **options: Any) -> Result:
            from ml import tracking

            context = _Context(dag_id, run_id)
            with tracking.mapped(context.settings.mlflow_uri):
                try:
                    if task != "load_data_task":
                        tracking.begin_step(context.tracker, context.run)
                    return function(context, *arguments, **options)
                except Exception as error:
                    _record(context, task, error)
                    raise

        return wrapped

    return decorate


def _record(context: _Context, task: str, error: BaseException) -> None:
    from ml import report, tracking

    described = report.describe(error)
    log.error("task=%s %s", task, described)
    # The error itself matters more than the note of it, which needs a server that may be what failed.
    with suppress(Exception):
        found = tracking.find_run(context.tracker, context.key)
        if found is not None:
            told = error if isinstance(error, PipelineError) else type(error)(described)
            tracking.record_error(context.tracker, found.info.run_id, task, told)


@_step("load_data_task")
def load(context: _Context, params: Mapping[str, Any]) -> str:
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

    base = _base(context.settings.pipeline_file)
    note = " ".join(str(params.get("note") or "").split())[:1000]
    try:
        settled, problem = _settle(context, base, params), None
    except PipelineError as error:
        # The run is opened all the same, so that there is a place that says what was wrong.
        settled, problem = base, error
    mlflow_run_id = tracking.open_run(
        context.tracker, settled.model.name, context.run_id, _run_tags(context, note)
    )
    tracking.begin_step(context.tracker, context.run)
    if problem is not None:
        raise problem
    raw, source = _read(context, settled)
    frame = contract.check(raw, settled, source)
    snapshot = context.store.write_parquet(frame, context.path("raw.parquet"))
    digest = tracking.log_table(
        context.tracker, mlflow_run_id, frame, snapshot, source, context="raw", target=settled.data.target
    )
    tags = {"data.digest": digest, "data.uri": settled.data.uri or "generated", "data.rows": str(len(frame))}
    tracking.write(context.tracker, mlflow_run_id, params=configuration.flatten(settled), tags=tags)
    log.info("rows=%d columns=%d digest=%s source=%s", *frame.shape, digest, source)
    return mlflow_run_id


def _settle(context: _Context, base: PipelineConfig, params: Mapping[str, Any]) -> PipelineConfig:
    key = context.path("config.json")
    if context.store.exists(key):
        return context.config
    settled = configuration.config_from_trigger(base, params)
    if settled.data.uri:
        context.store.locate(settled.data.uri)
    context.store.write_json(settled.as_dict(), key)
    return settled


def _run_tags(context: _Context, note: str) -> dict[str, str]:
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


def _read(context: _Context, settled: PipelineConfig) -> tuple[pd.DataFrame, str]:
    from ml import generate, read

    data = settled.data
    if not data.uri:
        rows, seed = data.generate.rows, data.generate.seed
        return generate.generate(rows, seed), f"generated-{rows}-rows-seed-{seed}"
    content = context.store.read_bytes(data.uri, data.max_bytes)
    name = data.uri.rsplit("/", 1)[-1]
    return read.read_table(content, name, data.max_bytes, data.max_rows), name


@_step("data_preprocessing_task")
def preprocess(context: _Context) -> str:
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
    decided = {"roles": roles.as_dict(), "train": train.tolist(), "test": test.tolist()}
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


@_step("separate_data_outputs_task")
def separate(context: _Context) -> str:
    """Separates features and target of both parts: four tables in S3, logged as training and test data.

    Returns:
        The S3 address below which they are.
    """
    import pandas as pd

    from ml import preprocess as decide
    from ml import tracking

    frame, roles = context.table("raw"), context.roles
    for part, context_name in (("train", "training"), ("test", "test")):
        rows = frame.iloc[context.split[part]]
        features, target = decide.features_of(rows, roles), decide.target_of(rows, roles)
        where = context.store.write_parquet(features, context.path(f"X_{part}.parquet"))
        context.store.write_parquet(target.to_frame(), context.path(f"y_{part}.parquet"))
        whole = pd.concat([features, target], axis="columns")
        tracking.log_table(
            context.tracker, context.mlflow_run_id, whole, where, f"{part} part",
            context=context_name, target=roles.target,
        )  # fmt: skip
    return f"s3://{context.store.bucket}/runs/{context.key}"


@_step("build_save_model_task")
def train(context: _Context) -> str:
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
    features, target = context.table("X_train"), context.table("y_train")[context.roles.target]
    pipeline = decide.build_pipeline(context.config, context.roles).fit(_as_objects(features, context.roles), target)
    found = evaluate.metrics(target, evaluate.probabilities(pipeline, features), "train")
    tracking.write(context.tracker, context.mlflow_run_id, metrics=found)
    logged = model_log.log_once(context.tracker, context.mlflow_run_id, pipeline, features)
    run_tags = context.run.data.tags
    tags = {
        "run_key": context.key,
        "airflow.dag_id": context.dag_id,
        "airflow.run_id": context.run_id,
        "data.digest": run_tags.get("data.digest", ""),
        "git.commit": run_tags.get("git.commit", ""),
        "model.sha256": logged.sha256,
    }
    return registry.register(context.tracker, name, logged.model_id, context.mlflow_run_id, tags)


def _as_objects(features: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    from ml import preprocess as decide

    # Parquet gives text back as pandas' own string type, where the Pipeline was declared for plain objects.
    return decide.features_of(features, roles)


@_step("load_model_task")
def evaluate(context: _Context, version: str) -> str:
    """Pulls the version from the registry and evaluates it on rows that training never saw.

    Returns:
        The version's number.

    Raises:
        Untrusted: What the registry holds is not what was trained.
    """
    from ml import evaluate as score
    from ml import plots, registry, tracking

    features, target = context.test_part()
    pulled = _pull(context, version)
    probability = score.probabilities(pulled.pipeline, _as_objects(features, context.roles))
    found = score.metrics(target, probability, "test")
    tracking.write(context.tracker, context.mlflow_run_id, metrics=found)
    files = plots.plots(pulled.pipeline, target, probability)
    tracking.log_files(context.tracker, context.mlflow_run_id, files, "plots")
    tags = {"validation": "passed", **{name: f"{value:.6f}" for name, value in found.items()}}
    registry.write_version_tags(context.tracker, pulled.name, version, {"validation": tags["validation"]})
    log.info("version=%s %s", version, " ".join(f"{name}={value:.6f}" for name, value in found.items()))
    return version


def _pull(context: _Context, version: str) -> LoadedModel:
    from ml import load as loading

    with tempfile.TemporaryDirectory(prefix="trackyard-") as directory:
        return loading.load_verified(context.tracker, context.config.model.name, version, Path(directory))


@_step("promote_model_task")
def promote(context: _Context, version: str) -> dict[str, Any]:
    """Makes the version challenger, and champion if there is none or it is not worse on the same held-out rows.

    Returns:
        `{"version", "champion": bool, "reason": text, "metrics": {...}}`.
    """
    from ml import registry, tracking

    name = context.config.model.name
    registry.challenge(context.tracker, name, version)
    found = {key: value for key, value in context.run.data.metrics.items() if key.startswith("test_")}
    current = registry.aliases(context.tracker, name).get(registry.CHAMPION)
    accepted, reason = _judge(context, version, found, current)
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


def _judge(
    context: _Context, version: str, found: Mapping[str, float], current: str | None
) -> tuple[bool, str]:
    """Whether the version may go live, and the reason in one sentence."""
    from ml import evaluate as score

    if current is None:
        return True, "there was no champion before it"
    if current == version:
        return True, "it is the champion already"
    metric, tolerance = context.config.promotion.metric, context.config.promotion.tolerance
    features, target = context.test_part()
    try:
        champion = _pull(context, current)
        probability = score.probabilities(champion.pipeline, _as_objects(features, context.roles))
    except PipelineError as error:
        return False, f"champion version {current} cannot be compared with ({error}): promote by hand if you mean it"
    except (KeyError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        return False, f"champion version {current} does not take this data ({why}): promote by hand if you mean it"
    theirs = score.metrics(target, probability, "test")[metric]
    ours = found[metric]
    accepted = score.is_not_worse(metric, ours, theirs, tolerance)
    verb = "is not worse than" if accepted else "is worse than"
    allowed = f" with a tolerance of {tolerance:g}" if tolerance else ""
    return accepted, (
        f"{metric} {ours:.6f} {verb} the {theirs:.6f} of champion version {current} "
        f"on the same {len(target)} rows{allowed}"
    )


def close_run(dag_id: str, run_id: str) -> str:
    """Ends the MLflow run with the status that fits what happened.

    Returns:
        `FINISHED`, `FAILED` or `KILLED`; `none` where there is no MLflow run.
    """
    from ml import tracking

    context = _Context(dag_id, run_id)
    with tracking.mapped(context.settings.mlflow_uri):
        found = tracking.find_run(context.tracker, context.key)
        return "none" if found is None else tracking.close(context.tracker, found)


def mail(dag_id: str, run_id: str) -> dict[str, Any]:
    """The mail about a run.

    Returns:
        `{"to": [...], "subject", "html", "text"}`, or nothing where the configuration wants no mail.
    """
    from ml import report, tracking

    context = _Context(dag_id, run_id)
    with tracking.mapped(context.settings.mlflow_uri):
        told = _report(context)
    try:
        wanted = context.config.notification
    except (UnreadableData, PipelineError):
        # The run ended before its configuration was settled.
        wanted = _base(context.settings.pipeline_file).notification
    if not wanted.to or not (wanted.on_success if told.succeeded else wanted.on_failure):
        return {}
    return {
        "to": list(wanted.to),
        "subject": report.subject(told),
        "html": report.html(told),
        "text": report.text(told),
    }


def _report(context: _Context) -> Any:
    from ml import report, tracking

    found = tracking.find_run(context.tracker, context.key)
    links = {"DAG run in Airflow": context.airflow_link()}
    default = _base(context.settings.pipeline_file).model.name
    if found is None:
        message = "it ended before its MLflow run was opened; see the task's log."
        return report.RunReport(
            context.dag_id, context.run_id, False, default,
            failed_task="load_data_task", message=message, links=links,
        )  # fmt: skip
    tags = found.data.tags
    links["Run in MLflow"] = context.run_link()
    name, version = tags.get("model.name", default), tags.get("model.version")
    if version:
        links["Model version"] = context.version_link(name, version)
    links["Live service"] = context.settings.serving_url
    return report.RunReport(
        context.dag_id,
        context.run_id,
        tags.get("outcome") == "success",
        name,
        version,
        tags.get("promotion.champion") == "true",
        tags.get("promotion.reason", ""),
        {key: value for key, value in sorted(found.data.metrics.items()) if key.startswith("test_")},
        tags.get("error.task"),
        tags.get("error.message", ""),
        links,
    )


def links(dag_id: str, run_id: str) -> dict[str, str | None]:
    """The addresses of the run and of its version in MLflow; None for what is not there yet."""
    from ml import registry, tracking

    context = _Context(dag_id, run_id)
    with tracking.mapped(context.settings.mlflow_uri):
        found = tracking.find_run(context.tracker, context.key)
        if found is None:
            return {"run": None, "model": None}
        name = found.data.params.get("model.name", "")
        versions = registry.find_versions(context.tracker, name, context.key) if name else []
        model = context.version_link(name, str(versions[0].version)) if versions else None
        return {"run": context.run_link(), "model": model}


__all__ = [
    "Rejected", "close_run", "evaluate", "form_defaults", "links", "load", "mail", "preprocess", "promote", "run_key",
    "separate", "train",
]  # fmt: skip
