"""The Flask service: how the pipeline is doing, which model version is live, and what it predicts.

Its processes for other work import no more than they need, so that what is named here is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.app import create_app
    from serving.settings import ServingSettings

__all__ = ["ServingSettings", "create_app"]
_HOMES = {"create_app": "serving.app", "ServingSettings": "serving.settings"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
