"""What is told of a configuration that is not allowed: one line for each problem. Pure and light."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from ml.config.estimators import ALLOWED, DEFAULT
from ml.config.schema import ColumnRule, PipelineConfig


def estimator_of(sections: Mapping[str, Any], otherwise: Any) -> Any:
    """The estimator that plain values name, or the one that counts where they name none."""
    model = sections.get("model")
    return model.get("estimator", otherwise) if isinstance(model, Mapping) else otherwise


_SCALARS = ("str", "int", "float", "bool")
_SCALAR = "should be text, a finite number, true or false"
_WORDS = {
    "model_type": "should be a section of keys",
    "dict_type": "should be a section of keys",
    "tuple_type": "should be a list",
    "string_type": "should be text (a number goes in quotes)",
    "string_pattern_mismatch": "should be letters, digits, '_', '.' or '-', at most 100, a letter or digit first",
}


def describe(problem: Any, whole: Mapping[str, Any]) -> str:
    """One of the problems that pydantic found in a whole configuration, as a line for people."""
    path, is_one_of_many = _path(problem["loc"])
    key = ".".join(path) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key}{suggest(path[-1], _known_keys(path[:-1], whole))}"
    message = _SCALAR if is_one_of_many else _WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    value = problem.get("input")
    shown = "" if isinstance(value, (Mapping, BaseModel)) else f" is {json.dumps(value, default=str)[:80]}"
    return f"{key}{shown}: {message}"


def _path(place: Sequence[Any]) -> tuple[list[str], bool]:
    """The parts of a key without pydantic's names of the alternatives that it tried, and whether those were scalars."""
    path = [str(part) for part in place]
    if path[:1] in (["data"], ["tune"]):
        path = [part for part in path if part not in ("auto", "listed", "range", "list")]
    is_scalar = len(path) > 1 and path[-1] in _SCALARS and (path[-2] == "positive" or path[-2].isdigit())
    return (path[:-1] if is_scalar else path), is_scalar


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint, in brackets, at what a wrong name may have meant."""
    options = sorted(known)
    near = [option for option in options if option.startswith(name)] or difflib.get_close_matches(name, options, n=1)
    if near:
        return f" (did you mean {near[0]}?)"
    return f" (known: {', '.join(options)})" if options else ""


def _known_keys(path: list[str], whole: Mapping[str, Any]) -> Iterable[str]:
    """The keys of a section; none where it is an item of a list."""
    if path == ["model", "parameters"]:
        return ALLOWED[estimator_of(whole, DEFAULT)].model_fields
    if path[:1] == ["schema"]:
        return ColumnRule.model_fields
    section: Any = PipelineConfig
    for part in path:
        field = section.model_fields.get(part)
        section = field.annotation if field else None
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return ()
    return [field.alias or name for name, field in section.model_fields.items()]
