"""Whether a version answers as whoever serves it will ask: by its signature alone. Pure.

The service and MLflow's own server see of a version what it was registered with: its columns and their types. A version
that was signed otherwise than it was trained would be champion and answer nobody, so it is asked that way before.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ml.errors import Untrusted, one_line
from ml.registry.loading import EXAMPLE_TAG, LoadedModel, frame_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TOLERANCE = 1e-9
"""The last digits of a probability may come from another machine's arithmetic."""
_MOST_ROWS = 2000
"""All rows show whether a column can be asked; so many show whether the answers are the same."""


def smoke_test(loaded: LoadedModel) -> None:
    """Lets a model predict its own input example.

    Raises:
        Untrusted: It does not give one probability from 0 to 1 for each row, or not those that its version recorded.
    """
    what, rows = f"{loaded.name} version {loaded.version}", loaded.input_example
    if not rows or not loaded.inputs:
        raise Untrusted(f"{what} has no signature or input example")
    try:
        predicted = loaded.pipeline.predict_proba(frame_of(loaded, rows))
    except (ValueError, TypeError) as error:
        reason = one_line(error, limit=None)
        raise Untrusted(f"{what} does not take its own input example by its signature ({reason})") from error
    if predicted.shape != (len(rows), 2) or not ((predicted >= 0) & (predicted <= 1)).all():
        raise Untrusted(f"{what} does not predict its own input example")
    recorded = loaded.tags.get(EXAMPLE_TAG)
    # Versions from before the probabilities were recorded have their sha256 alone.
    if recorded is not None and not _agree(recorded, predicted[:, 1]):
        raise Untrusted(f"{what} predicts its input example otherwise than recorded")


def _agree(recorded: str, predicted: np.ndarray) -> bool:
    import numpy as np

    try:
        expected = np.asarray(json.loads(recorded), dtype=float)
    except (ValueError, TypeError):
        return False
    return expected.shape == predicted.shape and np.allclose(expected, predicted, rtol=0, atol=TOLERANCE)


def answers_by_signature(loaded: LoadedModel, features: pd.DataFrame) -> None:
    """Lets a version predict rows as they come by its signature, and compares with what its Pipeline says of them.

    The features have shape (n_rows, n_features); training never saw them. `Untrusted` where the signature names other
    columns or types, or the answers differ.
    """
    what = f"{loaded.name} version {loaded.version}"
    if set(features.columns) != set(loaded.inputs):
        differing = ", ".join(map(repr, sorted(set(features.columns) ^ set(loaded.inputs))))
        raise Untrusted(f"{what} is signed for other columns than it was trained on ({differing}): train it anew")
    asked = features[list(loaded.inputs)].copy()
    for column, kind in loaded.inputs.items():
        try:
            asked[column] = asked[column].astype(object if kind == "string" else "float64")
        except (ValueError, TypeError) as error:
            raise Untrusted(
                f"{what} is signed with column {column!r} as {kind}, which its values are not ({error}): nobody could "
                "ask it; train it anew"
            ) from error
    smoke_test(loaded)
    by_signature, trained = (loaded.pipeline.predict_proba(table.head(_MOST_ROWS)) for table in (asked, features))
    differs = abs(by_signature - trained).max(initial=0.0)
    if not differs <= TOLERANCE:
        raise Untrusted(f"{what} answers otherwise when it is asked by its signature (by {differs:g}): train it anew")
