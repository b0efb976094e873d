"""The registry, over MLflow's client, as the holder asks it. Effects: HTTP to MLflow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.load import SHA256_TAG, LoadedModel, load_verified

if TYPE_CHECKING:
    from mlflow import MlflowClient


_TOLD = ("promoted.", "promotion.", "gate.")
"""The tags of a version that tell who promoted it, when and why, and what the gate said."""


@dataclass(frozen=True)
class Champion:
    """What the registry says of the champion: its version, the sha256 of its file (empty for none), its aliases."""

    version: str
    sha256: str
    aliases: tuple[str, ...] = ()


class MlflowRegistry:
    """Asks MLflow about its registered models.

    Args:
        uri: MLflow's address; the account comes from MLflow's own variables.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._final_metrics: dict[str, dict[str, float]] = {}
        self._hashes: dict[tuple[str, str], str] = {}

    @cached_property
    def _client(self) -> MlflowClient:
        # Imported by the thread that asks first, so that /health answers before MLflow's client is there.
        from ml import tracking

        return tracking.client(self._uri)

    def champions(self) -> dict[str, Champion | None]:
        """Every registered model and where its champion alias points; None where it points nowhere.

        One question, however many models and versions; one more for a champion that was never seen before.
        """
        from ml import tracking

        with tracking.mapped(self._uri):
            return {
                str(model.name): self._champion(model)
                for model in self._client.search_registered_models(max_results=1000)
            }

    def _champion(self, model: Any) -> Champion | None:
        from ml import registry

        aliases = {str(alias): str(version) for alias, version in dict(model.aliases).items()}
        version = aliases.get(registry.CHAMPION)
        # A version that was deleted leaves its number to the next one, which is then the latest: it is looked at anew.
        for latest in model.latest_versions or []:
            self._hashes[model.name, str(latest.version)] = str(latest.tags.get(SHA256_TAG, ""))
        if version is None:
            return None
        if (model.name, version) not in self._hashes:
            found = self._client.get_model_version(model.name, version)
            self._hashes[model.name, version] = str(found.tags.get(SHA256_TAG, ""))
        same = tuple(sorted(alias for alias, number in aliases.items() if number == version))
        return Champion(version, self._hashes[model.name, version], same)

    def fetch(self, name: str, version: str, folder: Path) -> LoadedModel:
        """Downloads a version to an empty folder, checks it and loads it."""
        from ml import tracking

        with tracking.mapped(self._uri):
            return load_verified(self._client, name, version, folder)

    def metrics(self, run_id: str) -> dict[str, float]:
        """The metrics of the run that made a version, those that are numbers."""
        from ml import tracking

        with tracking.mapped(self._uri):
            found = self._client.get_run(run_id).data.metrics if run_id else {}
        # Names with a stroke are curves and the machine's load, for MLflow's charts.
        return {name: value for name, value in found.items() if math.isfinite(value) and "/" not in name}

    def versions(self, name: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest versions with their aliases and metrics, the newest first."""
        from ml import registry, tracking

        with tracking.mapped(self._uri):
            aliases = registry.aliases(self._client, name)
            found = self._client.search_model_versions(
                f"name = '{name}'", max_results=limit, order_by=["version_number DESC"]
            )
        self._hashes |= {(name, str(version.version)): str(version.tags.get(SHA256_TAG, "")) for version in found}
        return [
            {
                "version": str(version.version),
                "aliases": sorted(alias for alias, number in aliases.items() if number == str(version.version)),
                "run_id": version.run_id,
                "dag_run_id": version.tags.get("airflow.run_id"),
                "created_at": version.creation_timestamp,
                "validation": version.tags.get("validation"),
                "tags": {key: str(value)[:2000] for key, value in version.tags.items() if key.startswith(_TOLD)},
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
