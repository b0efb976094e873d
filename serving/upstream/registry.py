"""The registry, over MLflow's REST API, as the repository asks it. Effects: HTTP to MLflow."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import httpx

from ml.registry.loading import MAX_BYTES, SHA256_TAG
from ml.registry.versions import CHAMPION, named
from serving.upstream.mlflow_rest import MlflowHttp

_NO_PROMPTS = "tag.`mlflow.prompt.is_prompt` != 'true'"
"""MLflow keeps prompts among its registered models; its own client leaves them out by this filter."""
_SHOWN_TAGS = ("promoted.", "promotion.", "gate.")
"""The tags of a version that tell who promoted it, when and why, and what the gate said."""


@dataclass(frozen=True)
class Champion:
    """What the registry says of the champion.

    Attributes:
        version: Its number.
        sha256: Of its file; empty for none, None where that was not asked yet (`MlflowRegistry.complete`).
        aliases: The aliases that point to it.
        run_id: The run that made it: a number can come again, when a model was deleted and made anew, a run cannot.
    """

    version: str
    sha256: str | None
    aliases: tuple[str, ...] = ()
    run_id: str = ""


@dataclass(frozen=True)
class Candidate:
    """A version that may be promoted one day: its model, its number, the sha256 of its file, and its run."""

    name: str
    version: str
    sha256: str
    run_id: str = ""


@dataclass(frozen=True)
class _Seen:
    """A version as it was when its model had this stamp: when it was made, and when versions came or went last."""

    sha256: str
    run_id: str
    stamp: tuple[int, int]


class Loader(Protocol):
    """Fetches a version into an empty folder, and checks it."""

    def open(self, uri: str, name: str, version: str, folder: Path, max_bytes: int) -> None:
        """Does so, or raises what is wrong with it."""


class MlflowRegistry:
    """Asks MLflow about its registered models, under the account of MLflow's own variables.

    Args:
        uri: MLflow's address.
        loaders: They fetch and check versions: the main model's, and all others'.
        transport: What carries the questions; the network when None.
        main: The model whose promotions wait for no other model's.
    """

    def __init__(
        self, uri: str, loaders: tuple[Loader, Loader], transport: httpx.BaseTransport | None = None, main: str = ""
    ) -> None:
        self._uri = uri
        self._http = MlflowHttp(uri, os.environ, transport)
        self._main = main
        self._loader, self._others_loader = loaders
        self._final_metrics: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()
        self._stamps: dict[str, tuple[int, int]] = {}
        self._seen: dict[tuple[str, str], _Seen] = {}

    def champions(self) -> dict[str, Champion | None]:
        """Every registered model and where its champion alias points; None where it points nowhere.

        One question, however many models and versions.
        """
        models = self._http.each("registered-models/search", "registered_models", filter=_NO_PROMPTS)
        return {str(model["name"]): self._champion(model) for model in models}

    def _champion(self, model: dict[str, Any]) -> Champion | None:
        name, aliases = str(model["name"]), _aliases(model)
        stamp = (int(model.get("creation_timestamp", 0)), int(model.get("last_updated_timestamp", 0)))
        with self._lock:
            self._stamps[name] = stamp
        self._remember(name, model.get("latest_versions", []))
        version = aliases.get(CHAMPION)
        if version is None:
            return None
        same = tuple(sorted(alias for alias, number in aliases.items() if number == version))
        seen = self._seen.get((name, version))
        # A number alone may be another version's by now: what was seen counts until the model's versions change.
        if seen is None or seen.stamp != stamp:
            return Champion(version, None, same)
        return Champion(version, seen.sha256, same, seen.run_id)

    def complete(self, name: str, champion: Champion) -> Champion:
        """A champion with what was not asked yet."""
        answer = self._http.get("model-versions/get", name=name, version=champion.version) or {}
        version = answer.get("model_version", {"version": champion.version})
        self._remember(name, [version])
        return replace(champion, sha256=_tags(version).get(SHA256_TAG, ""), run_id=str(version.get("run_id", "")))

    def _remember(self, name: str, versions: Iterable[dict[str, Any]]) -> None:
        with self._lock:
            stamp = self._stamps.get(name, (0, 0))
            seen = dict(self._seen)
            for version in versions:
                sha256, run_id = _tags(version).get(SHA256_TAG, ""), str(version.get("run_id", ""))
                seen[name, str(version["version"])] = _Seen(sha256, run_id, stamp)
            # A new dictionary, since another thread may be reading the old one.
            self._seen = seen

    def is_gone(self, name: str) -> bool:
        """Whether there is no registered model of this name, asked of MLflow by that name."""
        return self._http.get("registered-models/get", name=name) is None

    def candidates(self) -> list[Candidate]:
        """The versions that were seen here and carry a sha256, the newest first, those of the main model before all."""
        seen = [Candidate(*key, one.sha256, one.run_id) for key, one in self._seen.items() if one.sha256]
        return sorted(seen, key=lambda each: (each.name != self._main, -int(each.version)))

    def fetch(self, name: str, version: str, folder: Path) -> None:
        """Downloads a version to an empty folder, checks it, and writes beside it how it predicts (`prepared`)."""
        loader = self._loader if name == self._main else self._others_loader
        loader.open(self._uri, name, version, folder, MAX_BYTES)

    def fetch_ahead(self, name: str, version: str, folder: Path, max_bytes: int) -> None:
        """As `fetch`, for a version that nobody promoted yet: it keeps no promotion of the main model waiting."""
        self._others_loader.open(self._uri, name, version, folder, max_bytes)

    def metrics(self, run_id: str) -> dict[str, float]:
        """The metrics of the run that made a version, those that are numbers; {} for a run that is gone."""
        answer = self._http.get("runs/get", run_id=run_id) if run_id else None
        return _metrics(answer["run"]) if answer else {}

    def _metrics_of(self, run_ids: Iterable[str]) -> dict[str, dict[str, float]]:
        """The metrics of several runs: two questions for each experiment in which they are."""
        metrics: dict[str, dict[str, float]] = {}
        left = [run_id for run_id in dict.fromkeys(run_ids) if run_id]
        while left:
            first, *left = left
            answer = self._http.get("runs/get", run_id=first)
            metrics[first] = _metrics(answer["run"]) if answer else {}
            if answer and left:
                beside = self._http.post(
                    "runs/search",
                    experiment_ids=[answer["run"]["info"]["experiment_id"]],
                    filter=f"attributes.run_id IN ({', '.join(map(repr, left))})",
                    run_view_type="ALL",
                    max_results=len(left),
                )
                for run in (beside or {}).get("runs", []):
                    metrics[str(run["info"]["run_id"])] = _metrics(run)
                left = [run_id for run_id in left if run_id not in metrics]
        return metrics

    def versions(self, name: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest versions with their aliases and metrics, the newest first."""
        model = self._http.get("registered-models/get", name=name)
        if model is None:
            return []
        aliases = _aliases(model["registered_model"])
        asked: dict[str, str | int] = {"filter": named(name), "max_results": limit, "order_by": "version_number DESC"}
        versions = list(islice(self._http.each("model-versions/search", "model_versions", **asked), limit))
        self._remember(name, versions)
        metrics = self._known_metrics(versions)
        return [_described(version, aliases, metrics.get(str(version.get("run_id", "")), {})) for version in versions]

    def _known_metrics(self, versions: Iterable[dict[str, Any]]) -> dict[str, dict[str, float]]:
        """The metrics of the runs of versions; once a version was judged they are asked for no more."""
        runs = {str(version.get("run_id", "")): "validation" in _tags(version) for version in versions}
        metrics = self._metrics_of(run_id for run_id in runs if run_id not in self._final_metrics)
        self._final_metrics.update((run_id, each) for run_id, each in metrics.items() if runs[run_id])
        return {**metrics, **{run_id: self._final_metrics[run_id] for run_id in runs if run_id in self._final_metrics}}


def _described(version: dict[str, Any], aliases: dict[str, str], metrics: dict[str, float]) -> dict[str, Any]:
    number, tags = str(version["version"]), _tags(version)
    return {
        "version": number,
        "aliases": sorted(alias for alias, pointed in aliases.items() if pointed == number),
        "run_id": str(version.get("run_id", "")),
        "dag_run_id": tags.get("airflow.run_id"),
        "created_at": int(version["creation_timestamp"]),
        "validation": tags.get("validation"),
        "tags": {key: value[:2000] for key, value in tags.items() if key.startswith(_SHOWN_TAGS)},
        "metrics": metrics,
    }


def _metrics(run: dict[str, Any]) -> dict[str, float]:
    metrics = {str(one["key"]): float(one.get("value", 0.0)) for one in run.get("data", {}).get("metrics", [])}
    # Names with a stroke are curves and the machine's load, for MLflow's charts.
    return {name: value for name, value in metrics.items() if math.isfinite(value) and "/" not in name}


def _aliases(model: dict[str, Any]) -> dict[str, str]:
    return {str(each["alias"]): str(each["version"]) for each in model.get("aliases", [])}


def _tags(version: dict[str, Any]) -> dict[str, str]:
    return {str(tag["key"]): str(tag.get("value", "")) for tag in version.get("tags", [])}
