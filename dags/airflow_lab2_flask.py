"""Roll the champion out to the service, and stay active while this is the live rollout. Wiring only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import dag

from ml import steps
from trackyard_rollout import RolloutOperator


@dag(
    dag_id="Airflow_Lab2_Flask",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    # The live rollout stays active; a newer one must be able to start beside it, and takes over at once.
    max_active_runs=16,
    tags=["trackyard"],
    doc_md=__doc__,
)
def rollout() -> None:
    """Wires the one task of a rollout."""
    RolloutOperator(
        task_id="start_Flask_API",
        retries=3,
        retry_delay=timedelta(seconds=5),
        execution_timeout=timedelta(minutes=5),
        on_failure_callback=SmtpNotifier(
            to=steps.form_defaults()["mail_to"],
            subject="[Trackyard] the prediction service does not answer",
            html_content="<p>Rollout <b>{{ run_id | e }}</b> ended: {{ exception | string | e }}</p>"
            "<p>See the task <code>start_Flask_API</code> of <code>Airflow_Lab2_Flask</code>, and "
            "<code>trackyard logs serving</code>.</p>",
        ),
    )


rollout()
