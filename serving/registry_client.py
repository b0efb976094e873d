"""The registry of one model, over MLflow's client, as the holder asks it. Effects: HTTP to MLflow."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.load import LoadedModel, load_verified

if TYPE_CHECKING:
    from mlflow import MlflowClient


class MlflowRegistry:
    """Asks MLflow about one registered model.

    Args:
        uri: MLflow's address; the account comes from MLflow's own variables.
        name: The registered model.
    """

    def __init__(self, uri: str, name: str) -> None:
        self._uri = uri
        self._name = name

    @cached_property
    def _client(self) -> MlflowClient:
        # Imported by the thread that asks first, so that /health answers before MLflow's client is there.
        from ml import tracking

        return tracking.client(self._uri)

    def aliases(self) -> dict[str, str]:
        """Every alias of the model and its version."""
        from ml import registry, tracking

        with tracking.mapped(self._uri):
            return registry.aliases(self._client, self._name)

    def fetch(self, version: str, folder: Path) -> LoadedModel:
        """Downloads a version to an empty folder, checks it and loads it."""
        from ml import tracking

        with tracking.mapped(self._uri):
            return load_verified(self._client, self._name, version, folder)

    def metrics(self, run_id: str) -> dict[str, float]:
        """The metrics of the run that made a version; empty where that run is gone."""
        from ml import tracking

        with tracking.mapped(self._uri):
            return dict(self._client.get_run(run_id).data.metrics) if run_id else {}

    def versions(self, limit: int = 20) -> list[dict[str, Any]]:
        """The newest versions with their metrics."""
        from ml import tracking

        with tracking.mapped(self._uri):
            found = self._client.search_model_versions(
                f"name = '{self._name}'", max_results=limit, order_by=["version_number DESC"]
            )
            return [
                {
                    "version": str(version.version),
                    "run_id": version.run_id,
                    "dag_run_id": version.tags.get("airflow.run_id"),
                    "validation": version.tags.get("validation"),
                    "metrics": self.metrics(version.run_id) if version.run_id else {},
                }
                for version in found
            ]
