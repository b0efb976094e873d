"""The rollout of a champion as an Airflow task that waits without holding a worker's slot.

Airflow puts the plugins folder on the path of every part, which is how the triggerer finds the trigger.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from ml import rollout

SILENCE_S = 60.0
POLL_S = 2.0


class RolloutTrigger(BaseTrigger):
    """Watches the service and the registry until a newer rollout takes over or the service falls silent.

    Args:
        rollout_id: The rollout that is watched.
        model: The registered model that the service serves.
    """

    def __init__(self, rollout_id: str, model: str) -> None:
        super().__init__()
        self.rollout_id = rollout_id
        self.model = model

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to build this again."""
        return "trackyard_rollout.RolloutTrigger", {"rollout_id": self.rollout_id, "model": self.model}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event, `{"end": "taken over" | "silent", "detail": text}`."""
        watch = rollout.Watch.from_environment(self.rollout_id, self.model, silence_s=SILENCE_S)
        while True:
            end = await watch.look()
            if end is not None:
                yield TriggerEvent(end)
                return
            await asyncio.sleep(POLL_S)


class RolloutOperator(BaseOperator):
    """Makes sure that the service is up and serves the champion, and then stays deferred as its live indicator."""

    def execute(self, context: Any) -> None:
        """Rolls out, tells what is live, and hands over to the trigger.

        Raises:
            Unavailable: The service did not come up, or did not load the champion, in time.
        """
        run_id = context["run_id"]
        live = rollout.roll_out(run_id)
        self.log.info("live: %s version %s at %s", live["name"], live["version"], live["url"])
        context["ti"].xcom_push(key="live", value=live)
        self.defer(trigger=RolloutTrigger(run_id, live["name"]), method_name="resume")

    def resume(self, context: Any, event: dict[str, str]) -> str:
        """Ends the rollout: well when a newer one took over.

        Raises:
            AirflowFailException: The service fell silent.
        """
        if event["end"] == "taken over":
            return event["detail"]
        raise AirflowFailException(event["detail"])
