"""What the service tells of itself, the pipeline and the models, as plain values. Pure, over what the monitors know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml.gate.verdict import read_short
from serving.models.repository import ModelRepository
from serving.models.slot import ModelSlot
from serving.settings import ServingSettings
from serving.upstream.pipeline import PipelineMonitor


def status(settings: ServingSettings, monitor: PipelineMonitor, repository: ModelRepository) -> dict[str, Any]:
    """The body of `/status`: what is known, and how old it is; the same whether or not an upstream is down."""
    return {
        "pipeline": {"last_run": monitor.state.last_run, "running": monitor.state.running},
        "model": model(repository, repository.main),
        "models": [model(repository, slot) for slot in repository.slots.values() if slot is not repository.main],
        "upstream": {
            "airflow": _upstream(settings.airflow_url, monitor.error, monitor.age_s),
            "mlflow": _upstream(settings.mlflow_url, repository.upstream_error, repository.age_s),
        },
    }


def model(repository: ModelRepository, slot: ModelSlot) -> dict[str, Any]:
    """The live version of a model, and the one that is champion: another one where that could not be loaded.

    Its fields are null while none is loaded; `error` then tells why.
    """
    live = slot.live
    counts = {
        "champion": slot.champion.version if slot.champion else None,
        "error": slot.error, "reloads": slot.reloads, "refusals": slot.refusals,
    }  # fmt: skip
    if live is None:
        nothing: dict[str, Any] = {"version": None, "aliases": [], "run_id": None, "metrics": {}, "loaded_at": None}
        return {"name": slot.name, **nothing, **counts}
    loaded, champion = live.loaded, slot.champion
    return {
        "name": loaded.name,
        "version": loaded.version,
        "aliases": list(champion.aliases) if champion and champion.version == loaded.version else [],
        "run_id": loaded.run_id,
        "metrics": dict(live.metrics),
        "loaded_at": live.loaded_at,
        "from_disk": live.from_disk,
        "fast_path": live.predictor.form is not None,
        **promotion({**loaded.tags, **_tags(repository, loaded.name, loaded.version)}),
        **counts,
    }


def promotion(tags: Mapping[str, str]) -> dict[str, Any]:
    """Who promoted a version, when and why, and what the gate said, as far as its tags tell."""
    # Versions that were promoted by an earlier release's command line have it under another word.
    word = "promoted" if any(tags.get(f"promoted.{what}") for what in ("by", "at")) else "promotion"
    decision = {what: tags.get(f"{word}.{what}") for what in ("by", "at", "reason")}
    # A reason alone is of a decision that promoted nothing.
    promoted = decision if decision["by"] or decision["at"] else None
    return {"promoted": promoted, "gate": read_short(tags.get("gate.verdict"))}


def describe(repository: ModelRepository, slot: ModelSlot) -> dict[str, Any]:
    """Everything about a model: the live version with signature and example, and the newest versions."""
    live = slot.live
    return {
        **model(repository, slot),
        "signature": dict(live.loaded.inputs) if live else {},
        "nullable": sorted(live.predictor.nullable) if live else [],
        "example": live.loaded.input_example[:1] if live else [],
        "sha256": live.loaded.sha256 if live else None,
        "versions": versions(repository, slot.name),
    }


def versions(repository: ModelRepository, name: str) -> list[dict[str, Any]]:
    """The newest versions of a model with what their tags tell, the newest first."""
    return [
        {**{key: value for key, value in one.items() if key != "tags"}, **promotion(one.get("tags", {}))}
        for one in repository.versions.get(name, [])
    ]


def _tags(repository: ModelRepository, name: str, version: str) -> dict[str, str]:
    mine = (one for one in repository.versions.get(name, []) if one["version"] == version)
    return dict(next(mine, {}).get("tags", {}))


def _upstream(url: str, error: str | None, age_s: float | None) -> dict[str, Any]:
    age = None if age_s is None else round(age_s, 1)
    return {"ok": error is None, "url": url, "age_s": age, "error": error}
