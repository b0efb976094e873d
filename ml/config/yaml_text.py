"""YAML as the configuration has it: what stands there is what is meant. Pure and light."""

from __future__ import annotations

import re
from typing import Any

import yaml

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


class _Plain(yaml.SafeLoader):
    """Values as JSON has them: `true`, `false`, `null`, and numbers in their own spelling; all else is text.

    The library's YAML 1.1 makes false of the label `no` and of Norway, 567 of the code `01067`, 750 of the time
    `12:30`, a date of a date, and keeps the last of two keys of the same name without a word.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in the class above it

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A section, whose keys are text (a column may be called 2020 or `true`) and there once."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
            key.tag = _TEXT
        return node


for tag, pattern, begins in (
    ("tag:yaml.org,2002:null", r"(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("tag:yaml.org,2002:int", r"-?(0|[1-9][0-9]{0,400})$", list("-0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$|-?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$",
        list("-.0123456789"),
    ),
    (_MERGE, r"<<$", ["<"]),
):
    _Plain.add_implicit_resolver(tag, re.compile(pattern), begins)

# Where it merges nothing, as the label of a class perhaps, it is text as all else.
_Plain.add_constructor(_MERGE, lambda _, node: str(node.value))


def read_yaml(text: str) -> Any:
    """The plain values that a text means; `yaml.YAMLError` where it is no YAML, or a key is there twice."""
    return yaml.load(text, Loader=_Plain)  # noqa: S506 - a loader of plain values alone, as the one that it extends
