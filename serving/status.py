"""What the service tells of itself, the pipeline and the model, as plain values. Pure, over what the boards know."""

from __future__ import annotations

from typing import Any

from serving.champion import ModelHolder
from serving.pipeline import PipelineBoard
from serving.settings import ServingSettings


def status(settings: ServingSettings, board: PipelineBoard, holder: ModelHolder) -> dict[str, Any]:
    """The body of `/status`: what is known, and how old it is; the same whether or not an upstream is down."""
    return {
        "pipeline": {"last_run": board.state.last_run, "running": board.state.running},
        "model": model(holder),
        "upstream": {
            "airflow": _upstream(settings.airflow_url, board.error, board.age_s),
            "mlflow": _upstream(settings.mlflow_url, holder.upstream_error, holder.age_s),
        },
    }


def model(holder: ModelHolder) -> dict[str, Any]:
    """The live version; its fields are null while none is loaded."""
    live = holder.live
    if live is None:
        nothing: dict[str, Any] = {"version": None, "aliases": [], "run_id": None, "metrics": {}, "loaded_at": None}
        return {"name": holder.name, **nothing, "error": holder.error}
    loaded, champion = live.loaded, holder.champion
    return {
        "name": loaded.name,
        "version": loaded.version,
        "aliases": list(champion.aliases) if champion and champion.version == loaded.version else [],
        "run_id": loaded.run_id,
        "metrics": dict(live.metrics),
        "loaded_at": live.loaded_at,
        "from_disk": live.from_disk,
        "error": holder.error,
    }


def _upstream(url: str, error: str | None, age_s: float | None) -> dict[str, Any]:
    age = None if age_s is None else round(age_s, 1)
    return {"ok": error is None, "url": url, "age_s": age, "error": error}
