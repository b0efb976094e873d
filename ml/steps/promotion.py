"""The steps that decide whether a version goes live: the gate, the rule, and the person who is asked. Entry points.

Each can be run again: the verdict is made once, and moving an alias where it is changes nothing.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from ml.errors import ApprovalTimedOut, GateFailed, PipelineError, StaleCandidate, Unavailable
from ml.steps.context import Context, step
from ml.tracking.outcome import ERRORS, SUCCESS

if TYPE_CHECKING:
    from ml.history.champion_moves import History
    from ml.history.intent import Cause

log = logging.getLogger(__name__)

WAITING = "waiting"
TIMED_OUT = "timed out"


@step("promote_model_task")
def promote(context: Context, version: str) -> dict[str, Any]:
    """Judges the version, and makes it challenger if it passes, and champion if it may and nobody is to be asked.

    Returns:
        `{"version", "champion": bool, "reason": text, "metrics": {...}}`.

    Raises:
        GateFailed: The version failed the gate: it is tagged, no alias is moved, and trying again cannot help.
    """
    from ml.history.intent import Cause
    from ml.registry import versions
    from ml.steps import evidence

    context.version = version
    name, mode = context.config.model.name, context.config.promotion.mode
    history_of(context).observe()
    verdict = evidence.judge_once(context, version)
    if not verdict.passed:
        reason = "; ".join(verdict.reasons)
        _tell(context, version, (False, f"failed the gate: {reason}"), is_done=False)
        raise GateFailed(f"{name} version {version} failed the gate: {reason}. No alias was moved")
    current = versions.challenge(context.tracker, name, version)
    accepted, reason = evidence.is_better(context, version, verdict, current)
    is_live = current == version
    waits = accepted and not is_live and mode == "approve"
    if accepted and not is_live:
        if mode == "auto":
            accepted, reason = _go_live(
                context, version, Cause(f"{context.dag_id} {context.run_id}", "DAG run", reason)
            )
        else:
            accepted, reason = False, _not_yet(mode, version, reason)
    _tell(context, version, (accepted, reason), WAITING if waits else "", is_done=not waits)
    test_metrics = {key: value for key, value in context.run.data.metrics.items() if key.startswith("test_")}
    return {"version": version, "champion": accepted, "reason": reason, "metrics": test_metrics}


def _not_yet(mode: str, version: str, reason: str) -> str:
    who = "an approval is waited for" if mode == "approve" else f"'trackyard promote {version}' puts it live"
    return f"promotion.mode is {mode}: {who} ({reason})"


def history_of(context: Context) -> History:
    """The history of the run's model."""
    from ml.history.champion_moves import History

    return History(context.store, context.tracker, context.config.model.name)


def _go_live(context: Context, version: str, cause: Cause) -> tuple[bool, str]:
    from ml.registry import versions
    from ml.tracking import runs

    name = context.config.model.name
    runs.refuse_closed(context.tracker, context.mlflow_run_id)
    try:
        history_of(context).move(
            cause, lambda: versions.promote(context.tracker, name, version, only_forward=True), version
        )
    except StaleCandidate as error:
        return False, str(error)
    return True, cause.why


def _tell(
    context: Context, version: str, decision: tuple[bool, str], approval: str = "", *, is_done: bool = True
) -> None:
    """Writes to the run whether the version went live and why, what a person said, and that it succeeded if it did."""
    from ml.tracking import runs

    champion, reason = decision
    tags = {
        "promotion.champion": str(champion).lower(),
        "promotion.reason": reason,
        "promotion.approval": approval,
        "model.name": context.config.model.name,
        "model.version": version,
    }
    runs.write(context.tracker, context.mlflow_run_id, tags=tags | (SUCCESS if is_done else {}))
    log.info("version=%s champion=%s reason=%s", version, champion, reason)


def note_champion(model: str) -> bool:
    """Writes a champion that somebody moved into the history; tells whether trying again could not change anything."""
    from ml.data.store import Store
    from ml.history.champion_moves import History
    from ml.settings import TaskSettings
    from ml.tracking.runs import client, mapped

    settings = TaskSettings.from_env(os.environ)
    try:
        with mapped(settings.mlflow_uri):
            History(Store.from_settings(settings), client(settings.mlflow_uri), model).observe()
    except PipelineError as error:
        # Where no server is away it was changed, or this account may not write to the model.
        may_work_later = isinstance(error, Unavailable)
        could = "could" if may_work_later else "can"
        log.warning("model=%s the history %s not be written: %s", model, could, error)
        return not may_work_later
    return True


@step("approve_model_task", takes_back=ERRORS)
def approval(context: Context) -> dict[str, Any]:
    """What a person is asked about the run's version; nothing where nobody is to be asked.

    It is `{"subject", "body": Markdown, "hours": how long an answer is waited for}`.
    """
    from ml.gate import report
    from ml.steps import evidence
    from ml.steps.reporting import links_line
    from ml.tracking import runs

    tags = context.run.data.tags
    asked = tags.get("promotion.approval")
    if asked not in (WAITING, TIMED_OUT):
        return {}
    if asked == TIMED_OUT:
        # The task was cleared, to ask again.
        runs.write(context.tracker, context.mlflow_run_id, tags={"promotion.approval": WAITING})
    version = tags["model.version"]
    about = evidence.about_of(context, version) | {"why": tags["promotion.reason"]}
    name = context.config.model.name
    pages = {"MLflow run": context.run_link(), "model version": context.version_link(name, version)}
    body = report.markdown(evidence.read_verdict(context), about)
    return {
        "subject": f"May {name} version {version} go live?",
        "body": f"{body}\n\n{links_line(pages)}",
        "hours": context.config.promotion.approval_hours,
    }


@step("approve_model_task", takes_back=ERRORS)
def answer(context: Context, approved: bool, who: str, why: str = "") -> dict[str, Any]:
    """Does what a person said about the run's version: it goes live if it was `approved`.

    It returns `{"version", "champion": bool, "reason": text}`.
    """
    from ml.history.intent import MOST_LETTERS, Cause, shortened
    from ml.registry import versions

    version, name = context.run.data.tags["model.version"], context.config.model.name
    word = "approved" if approved else "refused"
    reason = shortened(f"{word} by {who}" + (f": {why}" if why else ""), MOST_LETTERS)
    versions.write_version_tags(context.tracker, name, version, {"promotion.approval": reason})
    accepted = False
    if approved:
        accepted, reason = _go_live(context, version, Cause(who, "approval", reason))
    _tell(context, version, (accepted, reason), word)
    return {"version": version, "champion": accepted, "reason": reason}


@step("approve_model_task", takes_back=ERRORS)
def unanswered(context: Context) -> None:
    """Ends a run whose question nobody answered: it always raises `ApprovalTimedOut`."""
    from ml.registry import versions
    from ml.tracking import runs

    version, config = context.run.data.tags["model.version"], context.config
    hours = config.promotion.approval_hours
    message = f"nobody answered within {hours:g} h whether {config.model.name} version {version} may go live"
    tags = {"promotion.approval": TIMED_OUT, "promotion.reason": message}
    versions.write_version_tags(context.tracker, config.model.name, version, {"promotion.approval": TIMED_OUT})
    runs.write(context.tracker, context.mlflow_run_id, tags=tags)
    raise ApprovalTimedOut(f"{message}: the champion stays; clear approve_model_task to ask again")
