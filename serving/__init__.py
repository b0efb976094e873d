"""The Flask service: how the pipeline is doing, which model version is live, and what it predicts."""

from serving.app import create_app
from serving.settings import ServingSettings

__all__ = ["ServingSettings", "create_app"]
