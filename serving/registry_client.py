"""The registry of one model, over MLflow's client, as the holder asks it. Effects: HTTP to MLflow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.load import SHA256_TAG, LoadedModel, load_verified

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Champion:
    """What the registry says of the champion: its version, the sha256 of its file (empty for none), its aliases."""

    version: str
    sha256: str
    aliases: tuple[str, ...] = ()


class MlflowRegistry:
    """Asks MLflow about one registered model.

    Args:
        uri: MLflow's address; the account comes from MLflow's own variables.
        name: The registered model.
    """

    def __init__(self, uri: str, name: str) -> None:
        self._uri = uri
        self._name = name
        self._final_metrics: dict[str, dict[str, float]] = {}

    @cached_property
    def _client(self) -> MlflowClient:
        # Imported by the thread that asks first, so that /health answers before MLflow's client is there.
        from ml import tracking

        return tracking.client(self._uri)

    def champion(self) -> Champion | None:
        """Where the champion alias points; None where it points nowhere. One small question, however many versions."""
        from mlflow.exceptions import MlflowException

        from ml import registry, tracking

        with tracking.mapped(self._uri):
            try:
                found = self._client.get_model_version_by_alias(self._name, registry.CHAMPION)
            except MlflowException as error:
                # The first is a model that there is not; the second, of all things, an alias that there is not.
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        return Champion(str(found.version), str(found.tags.get(SHA256_TAG, "")), tuple(sorted(map(str, found.aliases))))

    def fetch(self, version: str, folder: Path) -> LoadedModel:
        """Downloads a version to an empty folder, checks it and loads it."""
        from ml import tracking

        with tracking.mapped(self._uri):
            return load_verified(self._client, self._name, version, folder)

    def metrics(self, run_id: str) -> dict[str, float]:
        """The metrics of the run that made a version, those that are numbers."""
        from ml import tracking

        with tracking.mapped(self._uri):
            found = self._client.get_run(run_id).data.metrics if run_id else {}
        # Names with a stroke are curves and the machine's load, for MLflow's charts.
        return {name: value for name, value in found.items() if math.isfinite(value) and "/" not in name}

    def versions(self, limit: int = 20) -> list[dict[str, Any]]:
        """The newest versions with their aliases and metrics, the newest first."""
        from ml import registry, tracking

        with tracking.mapped(self._uri):
            aliases = registry.aliases(self._client, self._name)
            found = self._client.search_model_versions(
                f"name = '{self._name}'", max_results=limit, order_by=["version_number DESC"]
            )
        return [
            {
                "version": str(version.version),
                "aliases": sorted(alias for alias, number in aliases.items() if number == str(version.version)),
                "run_id": version.run_id,
                "dag_run_id": version.tags.get("airflow.run_id"),
                "validation": version.tags.get("validation"),
                "metrics": self._known_metrics(version.run_id, is_final="validation" in version.tags),
            }
            for version in found
        ]

    def _known_metrics(self, run_id: str, *, is_final: bool) -> dict[str, float]:
        """The metrics of a run, {} for one that is gone; once it was judged they are asked for no more."""
        from mlflow.exceptions import MlflowException

        if run_id in self._final_metrics:
            return self._final_metrics[run_id]
        try:
            found = self.metrics(run_id)
        except MlflowException:
            found = {}
        if is_final:
            self._final_metrics[run_id] = found
        return found
