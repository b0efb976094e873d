"""The registry, over MLflow's REST API, as the shelf asks it. Effects: HTTP to MLflow; `opener` fetches versions."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from ml.load import MAX_BYTES, SHA256_TAG
from ml.registry import CHAMPION
from serving.mlflow_http import MlflowHttp
from serving.opener import Opener

_NO_PROMPTS = "tag.`mlflow.prompt.is_prompt` != 'true'"
"""MLflow keeps prompts among its registered models; its own client leaves them out by this filter."""
_TOLD = ("promoted.", "promotion.", "gate.")
"""The tags of a version that tell who promoted it, when and why, and what the gate said."""


@dataclass(frozen=True)
class Champion:
    """What the registry says of the champion: its version, the sha256 of its file (empty for none), its aliases."""

    version: str
    sha256: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A version that may be promoted one day: its model, its number, and the sha256 of its file."""

    name: str
    version: str
    sha256: str


class MlflowRegistry:
    """Asks MLflow about its registered models.

    Args:
        uri: MLflow's address; the account comes from MLflow's own variables.
        transport: What carries the questions; the network when None.
        opener: Fetches and checks versions.
    """

    def __init__(self, uri: str, transport: httpx.BaseTransport | None = None, opener: Opener | None = None) -> None:
        self._uri = uri
        self._http = MlflowHttp(uri, os.environ, transport)
        self._opener = opener or Opener()
        self._final_metrics: dict[str, dict[str, float]] = {}
        self._hashes: dict[tuple[str, str], str] = {}

    def champions(self) -> dict[str, Champion | None]:
        """Every registered model and where its champion alias points; None where it points nowhere.

        One question, however many models and versions; one more for a champion that was never seen before.
        """
        models = self._http.each("registered-models/search", "registered_models", filter=_NO_PROMPTS)
        return {str(model["name"]): self._champion(model) for model in models}

    def _champion(self, model: dict[str, Any]) -> Champion | None:
        name, aliases = str(model["name"]), _aliases(model)
        # A version that was deleted leaves its number to the next one, which is then the latest: it is looked at anew.
        self._remember(name, model.get("latest_versions", []))
        version = aliases.get(CHAMPION)
        if version is None:
            return None
        if (name, version) not in self._hashes:
            found = self._http.get("model-versions/get", name=name, version=version) or {}
            self._remember(name, [found.get("model_version", {"version": version})])
        same = tuple(sorted(alias for alias, number in aliases.items() if number == version))
        return Champion(version, self._hashes[name, version], same)

    def _remember(self, name: str, versions: Iterable[dict[str, Any]]) -> None:
        found = {(name, str(version["version"])): _tags(version).get(SHA256_TAG, "") for version in versions}
        # A new dictionary, since another thread may be reading the old one.
        self._hashes = {**self._hashes, **found}

    def candidates(self) -> list[Candidate]:
        """The versions that were seen here and carry a sha256, the newest first."""
        found = [Candidate(name, version, sha256) for (name, version), sha256 in self._hashes.items() if sha256]
        return sorted(found, key=lambda each: -int(each.version))

    def fetch(self, name: str, version: str, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        """Downloads a version to an empty folder, checks it, and writes beside it how it predicts (`opened`)."""
        self._opener.open(self._uri, name, version, folder, max_bytes)

    def metrics(self, run_id: str) -> dict[str, float]:
        """The metrics of the run that made a version, those that are numbers; {} for a run that is gone."""
        answer = self._http.get("runs/get", run_id=run_id) if run_id else None
        told = answer["run"].get("data", {}).get("metrics", []) if answer else []
        found = {str(metric["key"]): float(metric.get("value", 0.0)) for metric in told}
        # Names with a stroke are curves and the machine's load, for MLflow's charts.
        return {name: value for name, value in found.items() if math.isfinite(value) and "/" not in name}

    def versions(self, name: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest versions with their aliases and metrics, the newest first."""
        model = self._http.get("registered-models/get", name=name)
        if model is None:
            return []
        aliases = _aliases(model["registered_model"])
        found = list(
            islice(
                self._http.each(
                    "model-versions/search", "model_versions",
                    filter=f"name = '{name}'", max_results=limit, order_by="version_number DESC",
                ),
                limit,
            )
        )  # fmt: skip
        self._remember(name, found)
        return [self._told(version, aliases) for version in found]

    def _told(self, version: dict[str, Any], aliases: dict[str, str]) -> dict[str, Any]:
        number, tags, run_id = str(version["version"]), _tags(version), str(version.get("run_id", ""))
        return {
            "version": number,
            "aliases": sorted(alias for alias, pointed in aliases.items() if pointed == number),
            "run_id": run_id,
            "dag_run_id": tags.get("airflow.run_id"),
            "created_at": int(version["creation_timestamp"]),
            "validation": tags.get("validation"),
            "tags": {key: value[:2000] for key, value in tags.items() if key.startswith(_TOLD)},
            "metrics": self._known_metrics(run_id, is_final="validation" in tags),
        }

    def _known_metrics(self, run_id: str, *, is_final: bool) -> dict[str, float]:
        """The metrics of a run; once it was judged they are asked for no more."""
        if run_id in self._final_metrics:
            return self._final_metrics[run_id]
        found = self.metrics(run_id)
        if is_final:
            self._final_metrics[run_id] = found
        return found


def _aliases(model: dict[str, Any]) -> dict[str, str]:
    return {str(each["alias"]): str(each["version"]) for each in model.get("aliases", [])}


def _tags(version: dict[str, Any]) -> dict[str, str]:
    return {str(tag["key"]): str(tag.get("value", "")) for tag in version.get("tags", [])}
