"""A checked version as a folder: MLflow's files, and beside them what a service needs to predict. Effects: files.

What is written here was found out by opening the model (`opener`), which takes scikit-learn. Whoever reads it needs
none of that where the model is linear; the model's own file is opened only for what its folded form leaves open.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ml.errors import Untrusted
from ml.load import EXAMPLE_TAG, LoadedModel, check_folder, frame_of
from serving.linear import LinearForm
from serving.predictor import Predictor

_FACTS = "trackyard.json"
# The last digits may come from another machine's arithmetic.
_TOLERANCE = 1e-9


def write(folder: Path, loaded: LoadedModel) -> None:
    """Lets a loaded version show that it predicts, and writes beside its files how.

    Args:
        folder: Where its files are.
        loaded: The version, with its Pipeline.

    Raises:
        Untrusted: It does not predict its own input example, or otherwise than its version recorded.
    """
    smoke_test(loaded)
    predictor = Predictor.of(loaded)
    told = {
        "name": loaded.name,
        "version": loaded.version,
        "run_id": loaded.run_id,
        "tags": dict(loaded.tags),
        "nullable": sorted(predictor.nullable),
        "form": predictor.form.as_values() if predictor.form else None,
    }
    text = json.dumps(told)
    (folder / _FACTS).write_text(f"{_digest(text)}\n{text}", encoding="utf-8")


def read(folder: Path, name: str) -> Predictor:
    """A version that was written here, ready to predict.

    Args:
        folder: The folder.
        name: The registered model of which it must be.

    Raises:
        Untrusted: The folder is not what was written: a file is missing, was changed, or is another model's.
    """
    try:
        digest, _, text = (folder / _FACTS).read_text(encoding="utf-8").partition("\n")
        told: dict[str, Any] = json.loads(text) if digest == _digest(text) else {}
    except (OSError, ValueError) as error:
        raise Untrusted(f"{folder} holds no checked model ({type(error).__name__})") from error
    if told.get("name") != name:
        raise Untrusted(f"{folder} is of {told.get('name', 'something that was changed')}, not of {name}")
    facts = {key: told[key] for key in ("name", "version", "run_id", "tags")}
    loaded = check_folder(folder, **facts)
    form = LinearForm.of_values(told["form"]) if told["form"] else None
    if form is None:
        # Now, so that nobody's request waits for it.
        loaded.pipeline.open()
    return Predictor(loaded, form, frozenset(told["nullable"]))


def smoke_test(loaded: LoadedModel) -> None:
    """Lets a model predict its own input example.

    Raises:
        Untrusted: It does not give one probability from 0 to 1 for each row, or not those that its version recorded.
    """
    rows = loaded.input_example
    if not rows or not loaded.inputs:
        raise Untrusted(f"{loaded.name} version {loaded.version} has no signature or input example")
    found = loaded.pipeline.predict_proba(frame_of(loaded, rows))
    if found.shape != (len(rows), 2) or not ((found >= 0) & (found <= 1)).all():
        raise Untrusted(f"{loaded.name} version {loaded.version} does not predict its own input example")
    recorded = loaded.tags.get(EXAMPLE_TAG)
    # Versions from before the probabilities were recorded have their sha256 alone.
    if recorded is not None and not _agree(recorded, found[:, 1].tolist()):
        raise Untrusted(f"{loaded.name} version {loaded.version} predicts its input example otherwise than recorded")


def _agree(recorded: str, found: list[float]) -> bool:
    try:
        expected = [float(one) for one in json.loads(recorded)]
    except (ValueError, TypeError):
        return False
    return len(expected) == len(found) and all(
        abs(one - other) <= _TOLERANCE for one, other in zip(expected, found, strict=True)
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
