"""The rollout of a champion as an Airflow task that waits without holding a worker's slot.

Airflow puts the plugins folder on the path of every part, which is how the triggerer finds the trigger.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from ml import steps
from ml.steps import rollout

AGAIN_S = 30.0
POLL_S = 2.0


class RolloutTrigger(BaseTrigger):
    """Watches the service and the registry until a newer rollout takes over or the service falls silent.

    Args:
        rollout_id: The rollout that is watched.
        model: The registered model that the service serves.
        champion: The version that the history knows as that model's champion, as a trigger says it that the previous
            release made.
        pause_s: How many seconds to wait before the first look.
        champions: The champion of each model as the history knows it.
    """

    def __init__(
        self,
        rollout_id: str,
        model: str,
        champion: str | None = None,
        pause_s: float = 0.0,
        champions: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.rollout_id = rollout_id
        self.model = model
        self.pause_s = pause_s
        self.champions = {model: champion or ""} if champions is None else champions

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to build this again."""
        arguments = ("rollout_id", "model", "pause_s", "champions")
        return "trackyard_rollout.RolloutTrigger", {name: getattr(self, name) for name in arguments}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event: what `ml.steps.rollout.Watch.look` found, with the model and the known champions."""
        await asyncio.sleep(self.pause_s)
        watch = rollout.Watch(self.rollout_id, self.model, rollout.Services.from_env(), champions=self.champions)
        while True:
            end = await watch.look()
            if end is not None:
                yield TriggerEvent({**end, "model": self.model, "known": self.champions})
                return
            await asyncio.sleep(POLL_S)


class RolloutOperator(BaseOperator):
    """Makes sure that the service is up and serves the champion, and then stays deferred as its live indicator."""

    def execute(self, context: Any) -> None:
        """Rolls out, tells what is live, and hands over to the trigger.

        Raises:
            AirflowSkipException: There is no champion.
            Unavailable: The service did not come up, or did not load the champion, in time.
        """
        run_id = context["run_id"]
        services = rollout.Services.from_env()
        nothing = rollout.nothing_to_roll_out(services)
        if nothing:
            raise AirflowSkipException(nothing)
        live = rollout.roll_out(run_id, services)
        self.log.info("live: %s version %s at %s", live["name"], live["version"], live["url"])
        context["ti"].xcom_push(key="live", value=live)
        # Somebody may have moved the champion since the last who looked; from here on the trigger looks.
        self._wait(run_id, live["name"], {}, {live["name"]: live["version"]})

    def _wait(self, run_id: str, model: str, known: dict[str, str], moved: dict[str, str]) -> None:
        """Writes down what moved, and waits on; what could not be written is seen again."""
        noted = {name: version for name, version in moved.items() if steps.note_champion(name)}
        pause_s = 0.0 if len(noted) == len(moved) else AGAIN_S
        trigger = RolloutTrigger(run_id, model, pause_s=pause_s, champions={**known, **noted})
        self.defer(trigger=trigger, method_name="resume")

    def resume(self, context: Any, event: dict[str, Any]) -> str:
        """Ends the rollout: well when a newer one took over.

        A champion that somebody moved, of whichever model, ends nothing. The triggerer sees that it moved and may write
        nothing; this runs on a worker, which writes it into the history, and waits on.

        Raises:
            AirflowFailException: The service fell silent.
        """
        if event["end"] == "moved":
            # The previous release told of the rollout's own model alone.
            moved = event.get("moved") or {event["model"]: event["detail"]}
            known = event["known"] if isinstance(event["known"], dict) else {}
            self._wait(context["run_id"], event["model"], known, moved)
        if event["end"] == "taken over":
            return event["detail"]
        raise AirflowFailException(event["detail"])
