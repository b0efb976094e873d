"""One function per task of the DAG: small values in, a reference out; what is heavy is imported inside.

An entry point: each step reads its settings from the environment. Every step can be run again, after a kill or by
hand, and finds what the earlier try made. What flows from one to the next is in S3 under the run's key. What the DAG
files use is named here; each function is in the module of its part of the run.
"""

from __future__ import annotations

from ml.errors import ApprovalTimedOut
from ml.steps.artifacts import report
from ml.steps.ingest import load, preprocess, separate
from ml.steps.promotion import answer, approval, note_champion, promote, unanswered
from ml.steps.run_end import close_run, links, mail
from ml.steps.search import try_candidate
from ml.steps.training import evaluate, train
from ml.steps.trigger_form import address_pattern, form_defaults
from ml.tracking.runs import rollout_id, run_key

__all__ = [
    "ApprovalTimedOut", "address_pattern", "answer", "approval", "close_run", "evaluate", "form_defaults", "links",
    "load", "mail", "note_champion", "preprocess", "promote", "report", "rollout_id", "run_key", "separate",
    "train", "try_candidate", "unanswered",
]  # fmt: skip
