"""What a step works with, and what is done around each: the run goes on, and an error is written to it.

Effects: MLflow and S3. An entry point: the settings come from the environment.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import cached_property, lru_cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from ml.config import loading as configuration
from ml.config.schema import PipelineConfig
from ml.errors import BadInput, UnreadableData
from ml.settings import TaskSettings
from ml.steps.earlier_attempt import TRIGGERED_TAG
from ml.tracking.outcome import ERRORS, OUTCOME, dag_run_page, run_page, version_page
from ml.tracking.runs import run_key

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from ml.data.store import Store
    from ml.tracking.system_metrics import Meter
    from ml.training.features import Roles
    from ml.values import Column

log = logging.getLogger(__name__)

Result = TypeVar("Result")
FIRST_TASK = "load_data_task"
TAKEN_BACK = (*ERRORS, OUTCOME)
"""What an earlier try said of a run and a step that comes before the decision says anew."""
RUN_FILE = "mlflow_run.json"


class Context:
    """What a step works with: the clients, the run's key, and its configuration once that is known.

    Where everything is comes from the environment, unless `settings` say it.
    """

    def __init__(self, dag_id: str, run_id: str, settings: TaskSettings | None = None) -> None:
        self.dag_id = dag_id
        self.run_id = run_id
        self.settings = settings or TaskSettings.from_env(os.environ)
        self.key = run_key(dag_id, run_id)
        self.version = ""
        """The registered version, once the step knows it."""

    @cached_property
    def store(self) -> Store:
        """The S3 store."""
        from ml.data.store import Store

        return Store.from_settings(self.settings)

    @cached_property
    def tracker(self) -> MlflowClient:
        """The client of MLflow."""
        from ml.tracking import runs

        return runs.client(self.settings.mlflow_uri)

    @cached_property
    def run(self) -> Run:
        """The MLflow run; a step after the first finds it there, by the id that the first one left, or by its key."""
        from ml.tracking import runs

        run = None
        with suppress(UnreadableData):
            run = runs.run_of_id(self.tracker, self.store.read_json(self.path(RUN_FILE)), self.key)
        run = run or runs.find_run(self.tracker, self.key)
        if run is None:
            raise BadInput(f"DAG run {self.run_id} has no MLflow run: clear load_data_task and what follows it")
        return run

    @property
    def mlflow_run_id(self) -> str:
        """The id of the MLflow run."""
        return str(self.run.info.run_id)

    @cached_property
    def config(self) -> PipelineConfig:
        """The configuration that the first step settled; a task that is cleared later works with the same one."""
        return configuration.parse_config(self.store.read_json(self.path("config.json")))

    @cached_property
    def roles(self) -> Roles:
        """What each column is to the model."""
        from ml.training.features import Roles

        return Roles.from_dict(self.store.read_json(self.path("split.json"))["roles"])

    @cached_property
    def positions(self) -> dict[str, list[int]]:
        """Which rows of the data the parts `train` and `test` have, counted from 0."""
        return dict(self.store.read_json(self.path("rows.json")))

    @cached_property
    def columns(self) -> dict[str, Column] | None:
        """How the first step read each column; None of a run from before that was kept."""
        from ml.values import Column

        readings = self.described_columns.get("columns", {})
        return {name: Column.of(name, each) for name, each in readings.items()} or None

    @property
    def commas(self) -> bool:
        """Whether the data has decimal commas."""
        return bool(self.described_columns.get("commas"))

    @cached_property
    def described_columns(self) -> dict[str, Any]:
        """How the first step read the table (`columns.described`); empty of a run from before that was kept."""
        key = self.path("columns.json")
        return dict(self.store.read_json(key)) if self.store.exists(key) else {}

    def forget(self) -> None:
        """Lets the run and its configuration be read again, after they were changed."""
        for name in ("run", "config"):
            self.__dict__.pop(name, None)

    def path(self, name: str) -> str:
        """A name of this run's in the store."""
        return f"runs/{self.key}/{name}"

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """A table that an earlier step wrote, or some of its columns."""
        return self.store.read_parquet(self.path(f"{name}.parquet"), columns)

    def part(self, name: str) -> tuple[pd.DataFrame, pd.Series]:
        """Features and target (0 or 1) of a part: `train`, or `test`, which are the rows that training never saw."""
        from ml.training.features import features_of

        # Parquet gives text back as pandas' own string type, where the Pipeline was fitted on plain objects.
        return features_of(self.table(f"X_{name}"), self.roles), self.table(f"y_{name}")[self.roles.target]

    def links(self, model: str, version: str | None) -> dict[str, str]:
        """The pages of the DAG run, the MLflow run, and the version if there is one, by what they lead to."""
        links = {"DAG run in Airflow": self.airflow_link(), "Run in MLflow": self.run_link()}
        return links | ({"Model version": self.version_link(model, version)} if version else {})

    def airflow_link(self) -> str:
        """The DAG run's page."""
        return dag_run_page(self.settings.airflow_url, self.dag_id, self.run_id)

    def run_link(self) -> str:
        """The MLflow run's page."""
        return run_page(self.settings.mlflow_url, self.run.info.experiment_id, self.run.info.run_id)

    def version_link(self, name: str, version: str) -> str:
        """A model version's page."""
        return version_page(self.settings.mlflow_url, name, version)


@lru_cache(maxsize=1)
def recent(dag_id: str, run_id: str) -> Context:
    """The context of a run, the same one for all that a task's process asks about it: the step, and then its links."""
    return Context(dag_id, run_id)


def anew(dag_id: str, run_id: str) -> Context:
    """The context of a run for a task that begins: what an earlier one of this process saw of the run is old by now."""
    recent.cache_clear()
    return recent(dag_id, run_id)


def step(
    task: str, *, takes_back: tuple[str, ...] = TAKEN_BACK
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Wraps a step: the MLflow run goes on, and what makes the step fail is written to it before it is raised again.

    Args:
        task: The id of the task that calls the step. The wrapped function takes `dag_id, run_id` for the `Context`.
        takes_back: What an earlier try said and this one says anew: the outcome, too, unless that was decided before.
    """

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        @wraps(function)
        def wrapped(dag_id: str, run_id: str, *arguments: Any, **options: Any) -> Result:
            from ml.tracking import runs
            from ml.tracking.system_metrics import Meter

            meter = Meter()
            context = anew(dag_id, run_id)
            try:
                with runs.mapped(context.settings.mlflow_uri):
                    if task != FIRST_TASK:
                        runs.begin_step(context.tracker, context.run, takes_back)
                    result = function(context, *arguments, **options)
                _note_usage(context, task, meter)
                return result
            # A timeout of Airflow's is no Exception; it is a failure all the same. Being stopped is none.
            except (SystemExit, KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:
                _record(context, task, error)
                raise

        return wrapped

    return decorate


def _note_usage(context: Context, task: str, meter: Meter) -> None:
    from ml.tracking import images, system_metrics

    if task not in system_metrics.STEPS:
        return
    # The step has done its work; a note of what it took is not worth failing it.
    with suppress(Exception):
        at = system_metrics.STEPS.index(task) + 1
        points, data = meter.read(task), context.run.data
        if TRIGGERED_TAG in data.tags:
            triggered = datetime.fromisoformat(data.tags[TRIGGERED_TAG]).timestamp()
            points |= system_metrics.waiting(task, data.metrics, meter.began_at - triggered)
        images.write_points(context.tracker, context.mlflow_run_id, points, at)


def _record(context: Context, task: str, error: BaseException) -> None:
    from ml.steps import reporting
    from ml.tracking import runs

    message = reporting.describe(error)
    log.error("task=%s error=%s %s", task, type(error).__name__, message)
    # The error itself matters more than the note of it, which needs a server that may be what failed.
    with suppress(Exception):
        run = runs.find_run(context.tracker, context.key)
        # Of a run that somebody stopped it was told how it ended; what its last task still does changes nothing.
        if run is not None and run.info.status != "KILLED":
            runs.record_error(context.tracker, run.info.run_id, task, type(error).__name__, message)
