"""From the rows of a request to the answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ml.errors import BadInput, PipelineError
from serving.api.table import Table, checked
from serving.models.predictor import DEFAULT_THRESHOLD, Predictor
from serving.web.messages import RequestRefused, problem

MAX_SHOWN = 5
"""The most unseen categories of a column that an answer lists."""
_OPTIONS = frozenset(("threshold", "explain"))
_COMPUTABLE = "values that the model can compute with"


def options_of(query: Mapping[str, str], table: Table) -> tuple[float, bool]:
    """The threshold and whether to explain, of the body or the address; `RequestRefused` (422) where one is wrong."""
    if not query and table.options.keys().isdisjoint(_OPTIONS):
        return DEFAULT_THRESHOLD, False
    threshold: Any = table.options.get("threshold", query.get("threshold", DEFAULT_THRESHOLD))
    explain: Any = table.options.get("explain", query.get("explain", False))
    try:
        share = float(threshold) if not isinstance(threshold, bool) else -1.0
    except (TypeError, ValueError, OverflowError):
        share = -1.0
    if not 0 <= share <= 1:
        raise _wrong_option("threshold", "a number from 0 to 1")
    truth = {"true": True, "1": True, "false": False, "0": False, "": True}.get(str(explain).lower())
    if truth is None or isinstance(explain, (list, dict)):
        raise _wrong_option("explain", "true or false")
    return share, truth


def _wrong_option(field: str, rule: str) -> RequestRefused:
    return RequestRefused(422, "wrong_option", f"{field} must be {rule}", [problem(field, rule)])


def score(
    predictor: Predictor, table: Table, threshold: float = DEFAULT_THRESHOLD, explain: bool = False
) -> dict[str, Any]:
    """Checks rows against the model's signature and predicts them: 1 where the probability is above the threshold.

    Returns:
        `{"model": {"name", "version"}, "predictions": [0 or 1, ...], "probabilities": [...], "threshold"}`, in the
        order of the rows; `explanation` on demand: `{"base": log-odds, "contributions": [{column: log-odds}, ...]}`,
        whose sums are each row's log-odds; `ignored_fields` where fields came that the model does not know; and
        `warnings`, `[{"field", "rule", "values", "rows"}]`, for categories that training never saw.

    Raises:
        RequestRefused: 422 with each wrong row, its field and the rule.
    """
    loaded, columns = predictor.loaded, checked(predictor, table)
    probability = _probability(predictor, columns)
    answer = {
        "model": {"name": loaded.name, "version": loaded.version},
        "predictions": (probability > threshold).astype(np.int64).tolist(),
        "probabilities": probability.tolist(),
        "threshold": threshold,
    }
    ignored = set(table.names()) - set(loaded.inputs)
    if ignored:
        answer["ignored_fields"] = sorted(map(str, ignored))
    warnings = _unseen(predictor, columns)
    if warnings:
        answer["warnings"] = warnings
    if explain:
        answer["explanation"] = _explanation(predictor, columns)
    return answer


def _unseen(predictor: Predictor, columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The categories of a request that training never saw, which the model takes for none, and in how many rows."""
    warnings = []
    for name, categories in predictor.categories.items():
        unseen = [one for one in columns[name] if one is not None and one not in categories]
        if unseen:
            shown = list(dict.fromkeys(unseen))[:MAX_SHOWN]
            warnings.append({"field": name, "rule": "unseen in training", "values": shown, "rows": len(unseen)})
    return warnings


def _explanation(predictor: Predictor, columns: Mapping[str, Any]) -> dict[str, Any]:
    explanation = predictor.contributions(columns)
    if explanation is None:
        raise _wrong_option("explain", "false: this version is not linear, so no column has a share of its own")
    base, contributions = explanation
    return {"base": base, "contributions": contributions}


def _probability(predictor: Predictor, columns: Mapping[str, Any]) -> Any:
    try:
        probability = predictor.probability(columns)
    except BadInput as error:
        raise RequestRefused(422, "wrong_rows", str(error), [problem(None, _COMPUTABLE)]) from error
    except PipelineError as error:
        raise RequestRefused(503, "model_unavailable", str(error)) from error
    if not np.isfinite(probability).all():
        row = int(np.flatnonzero(~np.isfinite(probability))[0])
        message = f"row {row}: the model finds no probability for it"
        raise RequestRefused(422, "wrong_rows", message, [problem(None, _COMPUTABLE, row)])
    return probability
