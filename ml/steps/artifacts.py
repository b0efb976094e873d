"""The step that writes of an evaluated version what only people look at. Effects: MLflow and S3; `ml.steps` offers it.

It goes on beside the decision, which it neither waits for nor changes. Everything can be written twice.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ml.errors import UnreadableData
from ml.steps.context import Context, step
from ml.tracking.outcome import PENDING, REPORT, REPORT_TASK, REPORTED

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ml.registry.loading import LoadedModel

PREDICTIONS = "tables/test_predictions.parquet"
"""The artefact with the test rows' positions in the data, their target (0 or 1) and their probability."""


@step(REPORT_TASK, takes_back=())
def report(context: Context, version: str) -> None:
    """Writes curves, plots, test predictions and the model card to the run, and the card to the version too.

    Raises:
        Untrusted: What the registry holds is not what was trained.
    """
    from ml.evaluation import curves, metrics, plots
    from ml.steps.evidence import pull
    from ml.tracking import images as logged_images
    from ml.tracking import runs
    from ml.training.pipeline import build_pipeline

    context.version = version
    client, run, split = context.tracker, context.run, context.config.split
    if run.data.tags.get(REPORT) != PENDING:
        runs.write(client, context.mlflow_run_id, tags={REPORT: PENDING})
    model = pull(context, version)
    (taught, labels), (features, target) = context.part("train"), context.part("test")
    unfitted = build_pipeline(context.config, context.roles)
    validated = curves.validation(unfitted, taught, labels, split.folds, split.random_state)
    runs.write_metrics(client, run, validated, model.model_id)
    learning = curves.learning(unfitted, taught, labels, split.random_state)
    probability = metrics.probabilities(model.pipeline, features)
    by_threshold = curves.threshold(target, probability)
    importance = curves.importance(model.pipeline, features, target, split.random_state)
    logged_images.write_series(client, run, learning | by_threshold)
    images = plots.plots(model.pipeline, target, probability)
    images |= plots.curve_plots(learning, by_threshold, importance, len(features.columns))
    runs.log_files(client, run, images)
    logged_images.log_images(client, run, images)
    folder, _, name = PREDICTIONS.rpartition("/")
    runs.log_files(client, run, {name: _predictions(context, target, probability)}, folder)
    _describe(context, model, {"train": labels, "test": target}, importance, validated)


def _predictions(context: Context, target: pd.Series, probability: np.ndarray) -> bytes:
    import pandas as pd

    buffer = io.BytesIO()
    frame = pd.DataFrame({"row": context.positions["test"], "target": target.to_numpy(), "probability": probability})
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _describe(
    context: Context,
    model: LoadedModel,
    targets: dict[str, pd.Series],
    importance: dict[str, float],
    validated: dict[str, float],
) -> None:
    from ml.registry import versions
    from ml.steps import model_card
    from ml.tracking import runs

    run = context.run
    try:
        profile = context.store.read_json(context.path("profile.json"))
    except UnreadableData:
        profile = {}
    facts = model_card.Facts(
        config=context.config,
        roles=context.roles,
        metrics=run.data.metrics | validated,
        tags=run.data.tags,
        profile=profile,
        importance=importance,
        rows={part: (len(target), float(target.mean())) for part, target in targets.items()},
        links=context.links(model.name, model.version),
        version=model.version,
        reading=context.described_columns,
    )
    text = model_card.card(facts)
    runs.log_files(context.tracker, run, {"model_card.md": text.encode()})
    versions.writer(context.tracker).update_model_version(model.name, model.version, text[:5000])
    runs.write(context.tracker, context.mlflow_run_id, tags={"mlflow.note.content": text, REPORT: REPORTED})
