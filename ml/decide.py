"""The steps that decide whether a version goes live: the gate, the rule, and the person who is asked. Entry points.

Each can be run again: the verdict is made once, and moving an alias where it is changes nothing.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from ml.context import Context, step
from ml.errors import ApprovalTimedOut, GateFailed, PipelineError, StaleCandidate

if TYPE_CHECKING:
    from ml.history import Cause, History

log = logging.getLogger(__name__)

WAITING = "waiting"


@step("promote_model_task")
def promote(context: Context, version: str) -> dict[str, Any]:
    """Judges the version, and makes it challenger if it passes, and champion if it may and nobody is to be asked.

    Returns:
        `{"version", "champion": bool, "reason": text, "metrics": {...}}`.

    Raises:
        GateFailed: The version failed the gate: it is tagged, no alias is moved, and trying again cannot help.
    """
    from ml import promotion, registry

    name, mode = context.config.model.name, context.config.promotion.mode
    history_of(context).observe()
    verdict = promotion.verdict_of(context, version)
    if not verdict.passed:
        reason = "; ".join(verdict.reasons)
        _told(context, version, champion=False, reason=f"failed the gate: {reason}")
        raise GateFailed(f"{name} version {version} failed the gate: {reason}. No alias was moved")
    registry.challenge(context.tracker, name, version)
    accepted, reason = promotion.is_better(context, version, verdict)
    is_live = registry.aliases(context.tracker, name).get(registry.CHAMPION) == version
    waits = accepted and not is_live and mode == "approve"
    if accepted and not is_live:
        if mode == "auto":
            accepted, reason = _go_live(context, version, _by_run(context, reason))
        else:
            accepted, reason = False, _not_yet(mode, version, reason)
    _told(context, version, champion=accepted, reason=reason, approval=WAITING if waits else "")
    found = {key: value for key, value in context.run.data.metrics.items() if key.startswith("test_")}
    return {"version": version, "champion": accepted, "reason": reason, "metrics": found}


def _not_yet(mode: str, version: str, reason: str) -> str:
    who = "an approval is waited for" if mode == "approve" else f"'trackyard promote {version}' puts it live"
    return f"promotion.mode is {mode}: {who} ({reason})"


def history_of(context: Context) -> History:
    """The history of the run's model."""
    from ml.history import History

    return History(context.store, context.tracker, context.config.model.name)


def _by_run(context: Context, reason: str) -> Cause:
    from ml.history import Cause

    return Cause(f"{context.dag_id} {context.run_id}", "DAG run", reason)


def _go_live(context: Context, version: str, cause: Cause) -> tuple[bool, str]:
    from ml import registry

    name = context.config.model.name
    try:
        history_of(context).move(
            cause, lambda: registry.promote(context.tracker, name, version, only_forward=True), version
        )
    except StaleCandidate as error:
        return False, str(error)
    return True, cause.why


def _told(context: Context, version: str, *, champion: bool, reason: str, approval: str = "") -> None:
    """Writes to the run what was decided; a run that waits for an answer has no outcome yet."""
    from ml import tracking

    tags = {
        "promotion.champion": str(champion).lower(),
        "promotion.reason": reason,
        "promotion.approval": approval,
        "model.name": context.config.model.name,
        "model.version": version,
    }
    if approval != WAITING and not reason.startswith("failed the gate"):
        tags["outcome"] = "success"
    tracking.write(context.tracker, context.mlflow_run_id, tags=tags)
    log.info("version=%s champion=%s reason=%s", version, champion, reason)


def note_champion(model: str) -> bool:
    """Writes a champion that somebody moved into the history; tells whether the history knows it now."""
    from ml.history import History
    from ml.settings import TaskSettings
    from ml.storage import Store
    from ml.tracking import client, mapped

    settings = TaskSettings.from_env(os.environ)
    try:
        with mapped(settings.mlflow_uri):
            History(Store.from_settings(settings), client(settings.mlflow_uri), model).observe()
    except PipelineError as error:
        log.warning("model=%s the history could not be written: %s", model, error)
        return False
    return True


@step("approve_model_task")
def approval(context: Context) -> dict[str, Any]:
    """What a person is asked about the run's version.

    Returns:
        `{"subject", "body": Markdown, "hours": how long an answer is waited for}`; nothing where nobody is to be asked.
    """
    from ml import gate_report, promotion, tracking

    tags = context.run.data.tags
    if tags.get("promotion.approval") != WAITING:
        if "promotion.reason" in tags:
            tracking.write(context.tracker, context.mlflow_run_id, tags={"outcome": "success"})
        return {}
    version = tags["model.version"]
    about = promotion.about_of(context, version) | {"why": tags["promotion.reason"]}
    pages = [
        f"[MLflow run]({context.run_link()})",
        f"[model version]({context.version_link(context.config.model.name, version)})",
    ]
    body = gate_report.markdown(promotion.verdict_of(context, version), about)
    return {
        "subject": f"May {context.config.model.name} version {version} go live?",
        "body": f"{body}\n\n{' · '.join(pages)}",
        "hours": context.config.promotion.approval_hours,
    }


@step("approve_model_task")
def answer(context: Context, approved: bool, who: str, why: str = "") -> dict[str, Any]:
    """Does what a person said about the run's version.

    Args:
        context: Given as `dag_id, run_id`.
        approved: Whether it may go live.
        who: The person.
        why: The reason that was given.

    Returns:
        `{"version", "champion": bool, "reason": text}`.
    """
    from ml import registry
    from ml.history import Cause

    version, name = context.run.data.tags["model.version"], context.config.model.name
    word = "approved" if approved else "refused"
    reason = f"{word} by {who}" + (f": {' '.join(why.split())[:500]}" if why else "")
    registry.write_version_tags(context.tracker, name, version, {"promotion.approval": reason})
    accepted = False
    if approved:
        accepted, reason = _go_live(context, version, Cause(who, "approval", reason))
    _told(context, version, champion=accepted, reason=reason, approval=word)
    return {"version": version, "champion": accepted, "reason": reason}


@step("approve_model_task")
def unanswered(context: Context) -> None:
    """Ends a run whose question nobody answered.

    Raises:
        ApprovalTimedOut: Always.
    """
    from ml import registry, tracking

    version, config = context.run.data.tags["model.version"], context.config
    hours = config.promotion.approval_hours
    message = f"nobody answered within {hours:g} h whether {config.model.name} version {version} may go live"
    tags = {"promotion.approval": "timed out", "promotion.reason": message}
    registry.write_version_tags(context.tracker, config.model.name, version, {"promotion.approval": "timed out"})
    tracking.write(context.tracker, context.mlflow_run_id, tags=tags)
    raise ApprovalTimedOut(f"{message}: the champion stays; clear approve_model_task to ask again")
