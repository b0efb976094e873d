"""Where a version came from, and which versions came from a data set or a DAG run. Effects: reads from MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ml.errors import BadInput
from ml.gate.verdict import read_short
from ml.history import ledger
from ml.registry import versions
from ml.tracking.provenance import LOCK_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from ml.history.ledger import Entry


def of_version(client: MlflowClient, name: str, version: str, entries: Sequence[Entry]) -> dict[str, Any]:
    """Everything that is recorded about where a version came from, and what its model's history says of it.

    Plain values; what was not recorded is None or empty. `BadInput` where there is no such version.
    """
    registered = versions.find_version(client, name, version)
    tags, run = dict(registered.tags), versions.run_of(client, registered)
    of_run = dict(run.data.tags) if run else {}
    aliases = versions.aliases(client, name)
    return {
        "name": name,
        "version": version,
        "aliases": sorted(alias for alias, at in aliases.items() if at == version),
        "data": {
            "digest": tags.get("data.digest") or of_run.get("data.digest"),
            "uri": of_run.get("data.uri"),
            "rows": of_run.get("data.rows"),
        },
        "git_commit": tags.get("git.commit") or of_run.get("git.commit"),
        "lock_digest": of_run.get(LOCK_TAG),
        "dag_id": tags.get("airflow.dag_id"),
        "dag_run_id": tags.get("airflow.run_id"),
        "run_id": registered.run_id,
        "sha256": tags.get("model.sha256"),
        "validation": tags.get("validation"),
        "verdict": read_short(tags.get("gate.verdict")),
        "approval": tags.get("promotion.approval"),
        "metrics": dict(sorted(run.data.metrics.items())) if run else {},
        "history": [asdict(entry) for entry in ledger.of_version(entries, version, versions.model_id(registered))],
    }


def versions_from(client: MlflowClient, *, data: str = "", dag_run: str = "") -> list[dict[str, str]]:
    """The versions of every model that came from a data set, by its digest, or from a DAG run, by its id.

    As `{"name", "version", "dag_run_id", "data_digest"}`, the oldest first; `BadInput` where the name has a quote in
    it, which no such name has.
    """
    key, value = ("data.digest", data) if data else ("airflow.run_id", dag_run)
    if "'" in value:
        raise BadInput(f"{value!r} is neither a digest nor a run's id")
    registered = client.search_model_versions(f"tags.`{key}` = '{value}'", max_results=1000)
    return [
        {
            "name": each.name,
            "version": str(each.version),
            "dag_run_id": each.tags.get("airflow.run_id", ""),
            "data_digest": each.tags.get("data.digest", ""),
        }
        for each in sorted(registered, key=lambda each: (each.name, int(each.version)))
    ]
