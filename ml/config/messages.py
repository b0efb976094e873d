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


_SCALAR = "should be text, a finite number, true or false"
_WORDS = {
    "model_type": "should be a section of keys",
    "dict_type": "should be a section of keys",
    "tuple_type": "should be a list",
    "string_type": "should be text (a number goes in quotes)",
    "string_pattern_mismatch": "should be letters, digits, '_', '.' or '-', at most 100, a letter or digit first",
}


def describe(problems: Iterable[Any], whole: Mapping[str, Any]) -> list[str]:
    """What pydantic found wrong in a whole configuration, as a line for people for each key."""
    told: dict[str, list[str]] = {}
    for problem in problems:
        path, alternative = _path(problem, whole)
        key = ".".join(path) or "the file"
        if problem["type"] == "extra_forbidden":
            told[f"unknown key {key}{suggest(path[-1], _known_keys(path[:-1], whole))}"] = []
            continue
        value = problem.get("input")
        shown = "" if isinstance(value, (Mapping, BaseModel)) else f" is {json.dumps(value, default=str)[:80]}"
        message = _WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
        told.setdefault(f"{key}{shown}", []).append(_SCALAR if alternative == "str" else message)
    return [f"{key}: {_either(messages)}" if messages else key for key, messages in told.items()]


def _either(messages: Sequence[str]) -> str:
    """What the alternatives for a value ask for; a scalar is any of four, which one sentence names."""
    first, *others = [_SCALAR] if _SCALAR in messages else dict.fromkeys(messages)
    return " or ".join([first[:1].lower() + first[1:], *(each.removeprefix("Input should be ") for each in others)])


def _path(problem: Any, whole: Any) -> tuple[list[str], str]:
    """The parts of a key without pydantic's names of the alternatives that it tried, and the last of those.

    What is no part of the values that it was given is such a name.
    """
    path, alternative, value = [], "", whole
    for part in problem["loc"]:
        # A list is named by a number alone, and no alternative is.
        if part in value if isinstance(value, Mapping) else isinstance(part, int):
            value = value[part]
            path.append(str(part))
        else:
            alternative = part
    if problem["type"] == "missing":
        path.append(alternative)
    return path, alternative


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
