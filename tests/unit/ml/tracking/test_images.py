"""Images and points in a real MLflow store: written twice, they are there once."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from ml.tracking import images, runs

if TYPE_CHECKING:
    from mlflow import MlflowClient


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10)).save(buffer, "PNG")
    return buffer.getvalue()


def opened(client: MlflowClient, key: str) -> str:
    return runs.open_run(client, "model", key, {"run_key": key})


def test_images_are_where_the_charts_look_for_them(client: MlflowClient) -> None:
    run = client.get_run(opened(client, "images"))

    for _ in range(2):
        images.log_images(client, run, {"roc_curve.png": picture()})

    files = sorted(item.path for item in client.list_artifacts(run.info.run_id, "images"))
    assert len(files) == 2
    assert all(path.startswith("images/roc_curve+step+0+timestamp+") for path in files)
    assert [path.endswith("+compressed.webp") for path in files] == [True, False]
    assert client.get_run(run.info.run_id).data.tags["mlflow.loggedImages"] == "true"


def test_a_series_is_written_once(client: MlflowClient) -> None:
    run_id = opened(client, "series")
    series = {"threshold/f1": [(0, 0.1), (50, 0.9), (100, 0.0)]}

    for _ in range(2):
        images.write_series(client, client.get_run(run_id), series)

    points = client.get_metric_history(run_id, "threshold/f1")
    assert [(point.step, point.value) for point in points] == series["threshold/f1"]


def test_candidates_that_were_left_running_are_ended_with_their_run(client: MlflowClient) -> None:
    parent = client.get_run(opened(client, "parent"))
    tags = {"run_key": "parent-0", "mlflow.parentRunId": parent.info.run_id}
    child = runs.open_run(client, "model", "candidate 0", tags)

    runs.close_children(client, parent)

    assert client.get_run(child).info.status == "KILLED"
    assert client.get_run(parent.info.run_id).info.status == "RUNNING"
