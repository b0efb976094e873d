"""Train, evaluate and promote one model version per DAG run. Wiring only: the work is in `ml.steps`."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from ml import steps
from ml.config.estimators import ALLOWED
from trackyard_approval import VersionApproval
from trackyard_links import MlflowRunLink, ModelVersionLink

GIVE_UP = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=f"ml.errors.{name}", action=RetryAction.FAIL, reason="trying again cannot change this")
        for name in ("BadInput", "Rejected", "Misconfigured", "Untrusted")
    ]
)
FAILED_HERE = {
    "KILLED": "the run was stopped before it finished; its MLflow run is KILLED",
    "UNREPORTED": "report_model_task failed; what was decided about the version stands",
}
DEFAULTS = steps.form_defaults()
ADDRESS = steps.address_pattern()
URI = {"type": ["null", "string"], "pattern": ADDRESS, "maxLength": 1000}
CONFIG_RULES = {"data": {"type": "object", "properties": {"uri": URI}}}
FORM = {
    # Airflow's form takes an empty field for null, and for nothing else.
    "data": Param(
        DEFAULTS["data"] or None, **URI, title="Data set",
        description="An s3:// address of a CSV or Parquet file, or of a folder of Parquet files (`trackyard data add "
        "FILE` prints one). Empty: the generated default data set.",
    ),
    "rows": Param(
        DEFAULTS["rows"], type="integer", minimum=20, maximum=2_000_000, title="Rows to generate",
        description="How many rows the generated data set has; of no effect with a data set of your own.",
    ),
    "test_size": Param(
        DEFAULTS["test_size"], type="number", exclusiveMinimum=0, exclusiveMaximum=1, title="Test part",
        description="The fraction of the rows that training never sees.",
    ),
    "random_state": Param(
        DEFAULTS["random_state"], type="integer", minimum=0, maximum=2**32 - 1, title="Seed",
        description="The seed of the split: the same seed and data give the same split.",
    ),
    "estimator": Param(
        DEFAULTS["estimator"], type="string", enum=sorted(ALLOWED), title="Estimator",
        description="The classifier; C and the iterations below, left as they are, count for LogisticRegression alone.",
    ),
    "C": Param(
        DEFAULTS["C"], type="number", exclusiveMinimum=0, title="C",
        description="The inverse of the regularisation strength of the logistic regression.",
    ),
    "max_iter": Param(
        DEFAULTS["max_iter"], type="integer", minimum=1, maximum=100_000, title="Iterations",
        description="The most iterations that the solver may take.",
    ),
    "model_name": Param(
        DEFAULTS["model_name"], type="string", pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", title="Model",
        description="The experiment and the registered model. The service serves the one in its settings.",
    ),
    "config": Param(
        {}, type="object", title="Other settings", properties=CONFIG_RULES,
        description="Any keys of pipeline.yaml as JSON; they win over the fields above. "
        'For example {"split": {"stratify": true}}.',
    ),
    "note": Param(None, type=["null", "string"], maxLength=1000, title="Note", description="Kept with the run."),
}  # fmt: skip


@dag(
    dag_id="Airflow_Lab2",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,
    params=FORM,
    default_args={
        "owner": "trackyard",
        "retries": 5,
        "retry_delay": timedelta(seconds=5),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=10),
        "retry_policy": GIVE_UP,
    },
    tags=["trackyard"],
    user_defined_macros={"rollout_id": steps.rollout_id},
    doc_md=__doc__,
)
def training() -> None:
    """Wires the steps of one training run."""

    @task(task_id="load_data_task")
    def load_data(dag_run: Any = None, params: Any = None) -> str:
        return steps.load(dag_run.dag_id, dag_run.run_id, dict(params), dag_run.run_after.isoformat())

    @task(task_id="data_preprocessing_task")
    def preprocess(dag_run: Any = None) -> str:
        return steps.preprocess(dag_run.dag_id, dag_run.run_id)

    @task(task_id="separate_data_outputs_task")
    def separate(dag_run: Any = None) -> list[int]:
        return steps.separate(dag_run.dag_id, dag_run.run_id)

    @task(task_id="tune_candidate_task")
    def try_candidate(number: int, dag_run: Any = None) -> None:
        if not steps.try_candidate(dag_run.dag_id, dag_run.run_id, number):
            raise AirflowSkipException(f"candidate {number} failed, see its run in MLflow; the others go on")

    # Without a search there are no candidates, and a candidate that failed is skipped: neither stops the run.
    @task(task_id="build_save_model_task", trigger_rule="none_failed")
    def build(dag_run: Any = None) -> str:
        return steps.train(dag_run.dag_id, dag_run.run_id)

    @task(task_id="load_model_task")
    def evaluate(version: str, dag_run: Any = None) -> str:
        return steps.evaluate(dag_run.dag_id, dag_run.run_id, version)

    @task(task_id="report_model_task")
    def report(version: str, dag_run: Any = None) -> None:
        # Where there are not processors enough, what is decided meanwhile goes first.
        os.nice(5)
        steps.report(dag_run.dag_id, dag_run.run_id, version)

    @task(task_id="promote_model_task", multiple_outputs=False)
    def promote(version: str, dag_run: Any = None) -> dict[str, Any]:
        return steps.promote(dag_run.dag_id, dag_run.run_id, version)

    @task(task_id="send_email", retries=2)
    def send_email(dag_run: Any = None) -> str:
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        message = steps.mail(dag_run.dag_id, dag_run.run_id)
        if not message:
            return "no mail is wanted"
        with SmtpHook() as server:
            server.send_email_smtp(to=message["to"], subject=message["subject"], html_content=message["html"])
        return f"sent to {', '.join(message['to'])}"

    @task(task_id="close_run_task")
    def close_run(dag_run: Any = None) -> str:
        status = steps.close_run(dag_run.dag_id, dag_run.run_id)
        if status in FAILED_HERE:
            raise AirflowFailException(FAILED_HERE[status])
        return status

    loaded, prepared, separated = load_data(), preprocess(), separate()
    candidates = try_candidate.expand(number=separated)
    built = build()
    evaluated = evaluate(built)
    # Nobody who decides or serves waits for what only people look at.
    promoted, reported = promote(evaluated), report(evaluated)
    # Skipped unless promotion.mode is approve; what comes after it goes on then as well.
    reason = Param(None, type=["null", "string"], maxLength=500, title="Reason", description="Kept in the history.")
    approved = VersionApproval(
        task_id="approve_model_task", subject="May this version go live?", body="", params={"reason": reason},
        execution_timeout=None,
    )  # fmt: skip
    my_trigger_task = TriggerDagRunOperator(
        task_id="my_trigger_task",
        trigger_rule="none_failed",
        trigger_dag_id="Airflow_Lab2_Flask",
        trigger_run_id="{{ rollout_id(run_id) }}",
        conf={"trained_by": "{{ run_id }}"},
        # Clearing this task asks for the rollout again, so an earlier one of the same name starts over.
        reset_dag_run=True,
    )
    # Teardown tasks run whatever happened before them and have no say in the state of the run.
    # But for one: of a run that somebody stops Airflow skips what has not begun, and would call the rest a success; and
    # it looks at the ends of the DAG alone, of which the report is none.
    mailed, closed = send_email().as_teardown(), close_run().as_teardown(on_failure_fail_dagrun=True)
    loaded >> prepared >> separated >> built
    candidates >> built
    promoted >> approved
    [promoted, approved] >> my_trigger_task
    [promoted, approved, reported] >> mailed
    [promoted, approved, reported] >> closed
    for each in (loaded, prepared, separated, candidates, built, evaluated, promoted, reported, mailed, closed):
        each.operator.operator_extra_links = (MlflowRunLink(), ModelVersionLink())
    approved.operator_extra_links = (MlflowRunLink(), ModelVersionLink())


training()
