"""What is told of a configuration that is not allowed: one line for each problem. Pure and light."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel

from ml.config_schema import ColumnRule, PipelineConfig
from ml.estimators import ALLOWED


def estimator_of(found: Mapping[str, Any], base: PipelineConfig) -> Any:
    """The estimator that plain values name, or the one of the configuration that they are laid over."""
    model = found.get("model")
    return model.get("estimator", base.model.estimator) if isinstance(model, Mapping) else base.model.estimator


_WORDS = {
    "model_type": "should be a section of keys",
    "dict_type": "should be a section of keys",
    "tuple_type": "should be a list",
    "string_pattern_mismatch": "should be letters, digits, '_', '.' or '-', at most 100, a letter or digit first",
}


def describe(problem: Any, whole: Mapping[str, Any]) -> str:
    """One of pydantic's problems as a line for people.

    Args:
        problem: An entry of `ValidationError.errors()`.
        whole: The configuration that was checked.
    """
    path = [str(part) for part in problem["loc"] if part not in ("auto", "listed", "range", "list")]
    key = ".".join(path) or "the file"
    if problem["type"] == "extra_forbidden":
        known: Iterable[str] = _known_keys(tuple(path[:-1]))
        if path[:-1] == ["model", "parameters"]:
            known = ALLOWED.get(estimator_of(whole, PipelineConfig()), ALLOWED["LogisticRegression"]).model_fields
        return f"unknown key {key}{suggest(path[-1], known)}"
    message = _WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    found = problem.get("input")
    shown = "" if isinstance(found, (Mapping, BaseModel)) else f" is {json.dumps(found, default=str)[:80]}"
    return f"{key}{shown}: {message}"


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint, in brackets, at what a wrong name may have meant."""
    options = sorted(known)
    near = [option for option in options if option.startswith(name)] or difflib.get_close_matches(name, options, n=1)
    if near:
        return f" (did you mean {near[0]}?)"
    return f" (known: {', '.join(options)})" if options else ""


@lru_cache(maxsize=64)
def _known_keys(path: tuple[str, ...]) -> tuple[str, ...]:
    model: Any = PipelineConfig
    for part in path:
        if model is PipelineConfig and part == "schema":
            return tuple(ColumnRule.model_fields)
        field = model.model_fields.get(part) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if field is None:
            return ()
        options = get_args(field.annotation) or (field.annotation,)
        model = next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)
    if model is None:
        return ()
    return tuple(field.alias or name for name, field in model.model_fields.items())
