"""A loaded version, ready to predict: as one matrix product where it is linear, else as sklearn does it. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.registry.loading import LoadedModel, frame_of
from serving.models.folding import NotLinear, fold
from serving.models.linear import LinearForm

log = logging.getLogger(__name__)

DEFAULT_THRESHOLD = 0.5
"""The probability above which a prediction is 1, where a request names no other."""
TOLERANCE = 1e-12
"""The most that a folded Pipeline's probabilities may differ from sklearn's."""


@dataclass(frozen=True)
class Predictor:
    """A version and the way in which it predicts.

    Attributes:
        form: Its Pipeline as one matrix product; None where sklearn predicts.
        nullable: The number columns in which the model takes a missing value.
        elsewhere: What predicts where the form does not, and blocks meanwhile; None: the version's own Pipeline does.
        categories: The categories that training saw, by column.
    """

    loaded: LoadedModel
    form: LinearForm | None
    nullable: frozenset[str]
    elsewhere: Callable[[Mapping[str, Any]], NDArray[np.float64]] | None = field(
        default=None, repr=False, compare=False
    )
    categories: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, loaded: LoadedModel) -> Predictor:
        """Prepares a version; one that can be folded is, if its own example then has the probabilities that it had."""
        from ml.training.pipeline import known_categories

        form = _checked_form(loaded)
        return cls(loaded, form, _nullable(loaded, form), categories=known_categories(loaded.pipeline))

    @cached_property
    def head(self) -> tuple[tuple[str, str], ...]:
        """The headers that tell which version answered."""
        return (("X-Model-Name", self.loaded.name), ("X-Model-Version", self.loaded.version))

    def probability(self, columns: Mapping[str, Any]) -> NDArray[np.float64]:
        """The probability of the positive class for each row, shape (n_rows,).

        The columns are the model's: numbers as float64 with NaN for missing, texts as lists with None.

        Raises:
            BadInput: The model cannot compute with these values.
            PipelineError: The process that predicts what the form does not has no answer; the message tells why.
        """
        probability = self.form.probability(columns) if self.form else None
        if probability is None:
            return self.elsewhere(columns) if self.elsewhere else by_sklearn(self.loaded, columns)
        return probability

    def contributions(self, columns: Mapping[str, Any]) -> tuple[float, list[dict[str, float]]] | None:
        """What each column adds to the log-odds of each row, and the log-odds before that; None if not linear."""
        if self.form is None:
            return None
        rows = self.form.terms(columns).tolist()
        return self.form.bias, [dict(zip(self.form.names, row, strict=True)) for row in rows]


def by_sklearn(loaded: LoadedModel, columns: Mapping[str, Any]) -> NDArray[np.float64]:
    """What a loaded version's own Pipeline says of the columns that `Predictor.probability` takes."""
    import pandas as pd

    # As objects from the beginning: half a surrogate pair, which JSON can bring, is no text to pandas otherwise.
    kinds = {name: object if kind == "string" else np.float64 for name, kind in loaded.inputs.items()}
    frame = pd.DataFrame({name: pd.Series(list(columns[name]), dtype=kind) for name, kind in kinds.items()})
    for name, kind in loaded.inputs.items():
        if kind == "string":
            frame[name] = frame[name].where(frame[name].notna(), np.nan)
    with np.errstate(all="ignore"):
        return np.asarray(loaded.pipeline.predict_proba(frame)[:, 1], dtype=np.float64)


def example_columns(loaded: LoadedModel) -> dict[str, Any]:
    """The input example as columns; empty where the version has none."""
    rows = loaded.input_example
    if not rows:
        return {}
    frame = frame_of(loaded, rows)
    return {
        name: [None if value != value else value for value in frame[name]]
        if kind == "string"
        else frame[name].to_numpy()
        for name, kind in loaded.inputs.items()
    }


def _checked_form(loaded: LoadedModel) -> LinearForm | None:
    what = f"{loaded.name} version {loaded.version}"
    try:
        form = fold(loaded.pipeline, loaded.inputs)
        columns = example_columns(loaded)
        probability = form.probability(columns) if columns else None
        # Not a number is within no tolerance.
        if probability is None or not np.abs(probability - by_sklearn(loaded, columns)).max() <= TOLERANCE:
            raise NotLinear("its example comes out otherwise")
    except NotLinear as reason:
        log.info("model=%s predicts by sklearn: %s", what, reason)
        return None
    except Exception:
        # Whatever an unforeseen Pipeline does to the folding, sklearn itself still predicts it.
        log.exception("model=%s cannot be folded and predicts by sklearn", what)
        return None
    return form


def _nullable(loaded: LoadedModel, form: LinearForm | None) -> frozenset[str]:
    """The number columns that may be missing: those that are imputed, found by trying where it cannot be read off."""
    numbers = {name for name, kind in loaded.inputs.items() if kind != "string"}
    if form is not None:
        not_filled = {name for name, fill in zip(form.numbers, form.fills, strict=True) if np.isnan(fill)}
        return frozenset(numbers - not_filled)
    example = example_columns(loaded)
    return frozenset(name for name in numbers if example and _takes_missing(loaded, example, name))


def _takes_missing(loaded: LoadedModel, example: Mapping[str, Any], name: str) -> bool:
    first = {column: values[:1] for column, values in example.items()}
    try:
        return bool(np.isfinite(by_sklearn(loaded, {**first, name: [np.nan]})).all())
    except Exception:  # noqa: BLE001 - whatever a model says to a missing value, it means no
        return False
