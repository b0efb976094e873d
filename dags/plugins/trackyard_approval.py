"""Asking a person whether a version may go live, by Airflow's own approval: no worker's slot is held meanwhile.

Airflow puts the plugins folder on the path of every part.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from ml import steps


class VersionApproval(ApprovalOperator):
    """Asks about the run's version where its configuration wants that, and is skipped where it does not."""

    def execute(self, context: Any) -> Any:
        """Writes the verdict into the form and waits, or skips.

        Raises:
            AirflowSkipException: Nobody is to be asked.
        """
        run = context["dag_run"]
        form = steps.approval(run.dag_id, run.run_id)
        if not form:
            raise AirflowSkipException("nobody is to be asked")
        self.subject, self.body = form["subject"], form["body"]
        self.response_timeout = timedelta(hours=form["hours"])
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Promotes an approved version, or leaves a refused one where it is.

        Raises:
            AirflowFailException: Nobody answered in time.
        """
        run = context["dag_run"]
        if event.get("error_type") == "timeout":
            try:
                steps.unanswered(run.dag_id, run.run_id)
            except steps.ApprovalTimedOut as error:
                raise AirflowFailException(str(error)) from error
        response = super(ApprovalOperator, self).execute_complete(context, event)
        approved = response["chosen_options"] == [self.APPROVE]
        who = (response["responded_by_user"] or {}).get("name") or "somebody in Airflow"
        why = str((response["params_input"] or {}).get("reason") or "")
        return steps.answer(run.dag_id, run.run_id, approved, who, why)
