"""A DAG run's id that is used again: what the earlier DAG run of that id left is set aside. Effects: MLflow and S3.

Airflow lets a deleted DAG run's id be given to a new one, and everything of a run is found by a key made of that id. So
that the new run neither finds the old one's version nor writes over its data, the old one's key is changed everywhere.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml.registry import versions
from ml.tracking import runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from ml.data.store import Store

log = logging.getLogger(__name__)

TRIGGERED_TAG = "airflow.run_after"
"""The run's tag with the moment at which Airflow was asked for the DAG run; it stays when tasks are cleared."""
_CLOCKS = timedelta(minutes=5)


def set_aside(tracker: MlflowClient, store: Store, key: str, triggered: str) -> Run | None:
    """Makes room for a new DAG run whose key an earlier one has. It can be done twice.

    Both have the run key `key`. `triggered` is when Airflow was asked for the new one, ISO 8601; empty where that is
    unknown, and nothing is done. What is returned is the run of that key which is the new DAG run's own, from an
    earlier try; None where it has none yet.
    """
    earlier = runs.find_run(tracker, key)
    if not triggered or earlier is None or not _is_earlier(earlier, datetime.fromisoformat(triggered)):
        return earlier
    if earlier.info.status == "RUNNING":
        # A task of it that still lives registers nothing any more.
        tracker.set_terminated(earlier.info.run_id, "KILLED")
    aside = f"{key}-{earlier.info.run_id[:8]}"
    listed = [each.key for each in store.listed(f"runs/{key}/")]
    for each in listed:
        store.copy(each, f"runs/{aside}/{each.removeprefix(f'runs/{key}/')}")
    for version in tracker.search_model_versions(f"tags.{runs.RUN_KEY} = '{key}'"):
        versions.write_version_tags(tracker, version.name, str(version.version), {runs.RUN_KEY: aside})
    for child in runs.children(tracker, earlier):
        number = child.data.tags.get(runs.RUN_KEY, "").rpartition("-")[2]
        tracker.set_tag(child.info.run_id, runs.RUN_KEY, f"{aside}-{number}")
    for each in listed:
        store.delete(each)
    # The run last: until then a try that comes after this one finds it, and goes on.
    tracker.set_tag(earlier.info.run_id, runs.RUN_KEY, aside)
    log.info("run_key=%s is used again: what was there is under %s", key, aside)
    return None


def _is_earlier(run: Run, triggered: datetime) -> bool:
    recorded = run.data.tags.get(TRIGGERED_TAG)
    if recorded:
        return datetime.fromisoformat(recorded) != triggered
    # A run of the previous release: it is this DAG run's if it was opened after that was asked for, as clocks go.
    opened = datetime.fromtimestamp(int(run.info.start_time or 0) / 1000, triggered.tzinfo)
    return opened < triggered - _CLOCKS
