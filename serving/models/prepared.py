"""A checked version as a folder: MLflow's files, and beside them what a service needs to predict. Effects: files.

What is written here was found out by opening the model (`loader`), which takes scikit-learn. Whoever reads it needs
none of that: what the folded form of a linear model leaves open, and every other model, `scorer` predicts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml.errors import Untrusted
from ml.registry.loading import LoadedModel, check_folder, load_folder
from ml.registry.serving_check import smoke_test
from serving.models.linear import LinearForm
from serving.models.predictor import Predictor
from serving.models.scorer import Copy, Scorer

_FACTS = "trackyard.json"


def write(folder: Path, loaded: LoadedModel) -> None:
    """Lets a version that was loaded from a folder show that it predicts, and writes beside its files how.

    Raises:
        Untrusted: It does not predict its own input example, or otherwise than its version recorded.
    """
    smoke_test(loaded)
    predictor = Predictor.of(loaded)
    facts = {
        "name": loaded.name,
        "version": loaded.version,
        "run_id": loaded.run_id,
        "tags": dict(loaded.tags),
        "nullable": sorted(predictor.nullable),
        "form": predictor.form.as_values() if predictor.form else None,
        "categories": {name: sorted(known) for name, known in predictor.categories.items()},
    }
    text = json.dumps(facts)
    (folder / _FACTS).write_text(f"{_digest(text)}\n{text}", encoding="utf-8")


def read(folder: Path, name: str, scorer: Scorer | None = None) -> Predictor:
    """A version that was written here, of the registered model `name`, ready to predict; its folder stays where it is.

    The scorer predicts what the folded form does not, and loads a version that has none; None: nothing does.

    Raises:
        Untrusted: The folder is not what was written: a file is missing, was changed, or is another model's.
        Unavailable: The scorer does not answer.
    """
    facts = _facts(folder, name)
    loaded = check_folder(folder, **_about(facts))
    form = LinearForm.of_values(facts["form"]) if facts["form"] else None
    nullable = frozenset(facts["nullable"])
    categories = {name: frozenset(known) for name, known in facts.get("categories", {}).items()}
    if scorer is None:
        return Predictor(loaded, form, nullable, categories=categories)
    copy = Copy(str(folder), loaded.name, loaded.version, loaded.sha256)
    if form is None:
        # Now, so that nobody's request waits for it.
        scorer.load(copy)
    return Predictor(
        loaded, form, nullable, lambda columns: scorer.probability(copy, columns, loaded.inputs), categories
    )


def load(folder: Path, name: str, sha256: str) -> LoadedModel:
    """A version that was written here, with its Pipeline; it has predicted its input example once more.

    Raises:
        Untrusted: As `read`; or it is not the version with that file.
    """
    loaded = load_folder(folder, **_about(_facts(folder, name)))
    if loaded.sha256 != sha256:
        raise Untrusted(f"{folder} holds another file than was checked")
    smoke_test(loaded)
    return loaded


def _facts(folder: Path, name: str) -> dict[str, Any]:
    try:
        digest, _, text = (folder / _FACTS).read_text(encoding="utf-8").partition("\n")
        facts: dict[str, Any] = json.loads(text) if digest == _digest(text) else {}
    except (OSError, ValueError) as error:
        raise Untrusted(f"{folder} holds no checked model ({type(error).__name__})") from error
    if facts.get("name") != name:
        raise Untrusted(f"{folder} is of {facts.get('name', 'something that was changed')}, not of {name}")
    return facts


def _about(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: facts[key] for key in ("name", "version", "run_id", "tags")}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
