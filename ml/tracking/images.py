"""Images as MLflow's charts show them side by side, and series of points. Effects: MLflow.

MLflow's own `log_image` gives each upload a new name, so a task that runs twice would show everything twice. The names
here follow the same pattern and are made from the run and the image's key.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ml.tracking.runs import log_files, log_points, write

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from ml.evaluation.curves import Series

_QUALITY = 70


def log_images(client: MlflowClient, run: Run, images: Mapping[str, bytes]) -> None:
    """Logs PNG images, which come by name, under the key of their name without its ending."""
    from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES
    from PIL import Image

    files: dict[str, bytes] = {}
    for name, content in images.items():
        key = name.removesuffix(".png")
        made = uuid.uuid5(uuid.NAMESPACE_URL, f"{run.info.run_id}/{key}")
        stem = f"{key}+step+0+timestamp+{run.info.start_time}+{made}"
        small = io.BytesIO()
        Image.open(io.BytesIO(content)).convert("RGB").save(small, "WEBP", quality=_QUALITY)
        files |= {f"{stem}.png": content, f"{stem}+compressed.webp": small.getvalue()}
    if files:
        log_files(client, run, files, "images")
        write(client, run.info.run_id, tags={MLFLOW_LOGGED_IMAGES: "true"})


def write_series(client: MlflowClient, run: Run, series: Series) -> None:
    """Writes points as metrics with steps; a name that an earlier try wrote is not written again."""
    fresh = {name: line for name, line in series.items() if name not in run.data.metrics}
    log_points(client, run.info.run_id, [(name, step, value) for name, line in fresh.items() for step, value in line])


def write_points(client: MlflowClient, run_id: str, values: Mapping[str, float], step: int) -> None:
    """Writes one point of each of several metrics, at a step."""
    log_points(client, run_id, [(name, step, value) for name, value in values.items()])
