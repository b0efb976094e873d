"""What is written about an evaluated version, beyond its metrics: curves, plots, predictions, a model card.

Effects: MLflow and S3; `ml.steps` calls it. Everything can be written twice.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ml.errors import UnreadableData
from ml.steps.context import Context

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ml.registry.loading import LoadedModel

PREDICTIONS = "tables/test_predictions.parquet"
"""The artefact with the test rows' positions in the data, their target (0 or 1) and their probability."""


def tell(
    context: Context, model: LoadedModel, features: pd.DataFrame, target: pd.Series, probability: np.ndarray
) -> None:
    """Writes curves, plots, the table of test predictions and the model card to the run, and the card to the version.

    Args:
        context: The run.
        model: The version that was evaluated.
        features: The test part, of shape (n_rows, n_features).
        target: 0 or 1, shape (n_rows,).
        probability: Of class 1, shape (n_rows,).
    """
    from ml.evaluation import curves, plots
    from ml.tracking import images as logged_images
    from ml.tracking import runs

    client, run = context.tracker, context.run
    by_threshold = curves.threshold(target, probability)
    importance = curves.importance(model.pipeline, features, target, context.config.split.random_state)
    logged_images.write_series(client, run, by_threshold)
    images = plots.plots(model.pipeline, target, probability)
    images |= plots.curve_plots(_learning(context), by_threshold, importance, len(features.columns))
    runs.log_files(client, context.mlflow_run_id, images)
    logged_images.log_images(client, run, images)
    folder, _, name = PREDICTIONS.rpartition("/")
    runs.log_files(client, context.mlflow_run_id, {name: _predictions(context, target, probability)}, folder)
    _describe(context, model, importance)


def _learning(context: Context) -> dict[str, list[tuple[int, float]]]:
    """The points that the training step wrote."""
    names = [name for name in context.run.data.metrics if name.startswith("learning/")]
    series = {name: context.tracker.get_metric_history(context.mlflow_run_id, name) for name in sorted(names)}
    return {name: sorted((point.step, point.value) for point in points) for name, points in series.items()}


def _predictions(context: Context, target: pd.Series, probability: np.ndarray) -> bytes:
    import pandas as pd

    buffer = io.BytesIO()
    frame = pd.DataFrame({"row": context.positions["test"], "target": target.to_numpy(), "probability": probability})
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _describe(context: Context, model: LoadedModel, importance: dict[str, float]) -> None:
    from ml.steps import model_card
    from ml.tracking import runs

    run = context.tracker.get_run(context.mlflow_run_id)
    try:
        profile = context.store.read_json(context.path("profile.json"))
    except UnreadableData:
        profile = {}
    targets = {part: context.table(f"y_{part}")[context.roles.target] for part in ("train", "test")}
    facts = model_card.Facts(
        config=context.config,
        roles=context.roles,
        metrics=run.data.metrics,
        tags=run.data.tags,
        profile=profile,
        importance=importance,
        rows={part: (len(target), float(target.mean())) for part, target in targets.items()},
        links=context.links(model.name, model.version),
        version=model.version,
        reading=context.described_columns,
    )
    text = model_card.card(facts)
    runs.log_files(context.tracker, context.mlflow_run_id, {"model_card.md": text.encode()})
    runs.write(context.tracker, context.mlflow_run_id, tags={"mlflow.note.content": text})
    context.tracker.update_model_version(model.name, model.version, text[:5000])
