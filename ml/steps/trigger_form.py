"""What the trigger form offers: the defaults, and the addresses that data may be read from. Light."""

from __future__ import annotations

import os
from typing import Any

from ml.config import loading as configuration
from ml.data import addresses
from ml.settings import allowed_sources


def form_defaults() -> dict[str, Any]:
    """The defaults of the trigger form, from the file that `TRACKYARD_PIPELINE_FILE` names, if it does."""
    return configuration.form_defaults(configuration.base_config(os.environ.get("TRACKYARD_PIPELINE_FILE")))


def address_pattern() -> str:
    """The pattern of the addresses that data may be read from, by the settings in the environment."""
    return addresses.form_pattern(allowed_sources(os.environ))
