"""What is in a skops file, as plain values, before anything in it is made: no class of it is imported. Pure.

skops makes each object that a file names and fills it with what the file says, and scikit-learn's compiled code then
believes it. So a file is read here first, by the few kinds of entries that our own files have, for
`ml.model_file.shapes` to look through; skops opens only what passed.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ml.errors import ForbiddenType, Untrusted

_PROTOCOL = 2
_SCALARS = ("float64", "int64", "uint64")


@dataclass(frozen=True)
class Thing:
    """An object of a file.

    Attributes:
        kind: Its class, with the module's name before it.
        args: What its class is called with, where that is not nothing.
    """

    kind: str
    attrs: Mapping[str, Any] = field(default_factory=dict)
    args: tuple[Any, ...] = ()


def read(archive: zipfile.ZipFile) -> Any:
    """What a file holds: texts, numbers, None, lists, tuples, dictionaries, arrays, dtypes, slices, and `Thing`s.

    Raises:
        ForbiddenType: It has entries of another kind.
        Untrusted: It says two things of one object, or has something stored otherwise than our files.
        ValueError, KeyError, TypeError: It is no skops file.
    """
    schema = json.loads(archive.read("schema.json"))
    if schema.get("protocol") != _PROTOCOL:
        raise Untrusted(f"its file is of skops protocol {schema.get('protocol')!r}, not {_PROTOCOL}")
    return _Reader(archive).value(schema)


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._seen: dict[Any, Any] = {}
        self._by_loader: Mapping[str, Callable[[Any], Any]] = {
            "JsonNode": lambda node: json.loads(node["content"]),
            "ListNode": self._list,
            "TupleNode": lambda node: tuple(self._list(node, "tuple")),
            "DictNode": self._dict,
            "SliceNode": lambda node: slice(*(node["content"][name] for name in ("start", "stop", "step"))),
            "TypeNode": lambda node: Thing("type", {"name": _kind(node)}),
            "DTypeNode": lambda node: self.value(node["content"]).dtype,
            "NdArrayNode": self._array,
            "ObjectNode": lambda node: Thing(_kind(node), self._attrs(node)),
            "TreeNode": self._called,
            "LossNode": self._called,
            "RandomGeneratorNode": lambda node: Thing(
                _kind(node), {name: self.value(one) for name, one in node["content"].items() if name != "key_types"}
            ),
        }

    def value(self, node: Any) -> Any:
        """What an entry stands for."""
        loader = self._by_loader.get(node["__loader__"])
        if loader is None:
            raise ForbiddenType(f"its file holds types that are not trusted: {_kind(node)} ({node['__loader__']})")
        value = loader(node)
        # skops takes the first of two entries with one id.
        first = self._seen.setdefault(node["__id__"], value)
        if first is not value and not _same(value, first):
            raise Untrusted("its file says two things of one object")
        return first

    def _list(self, node: Any, kind: str = "list") -> list[Any]:
        if _kind(node) != f"builtins.{kind}":
            raise Untrusted(f"its file has a {_kind(node)} where a {kind} belongs")
        return [self.value(one) for one in node["content"]]

    def _dict(self, node: Any) -> dict[str, Any]:
        types = self.value(node["key_types"])
        if _kind(node) != "builtins.dict" or any(one != Thing("type", {"name": "builtins.str"}) for one in types):
            raise Untrusted("its file has a dictionary whose names are no texts")
        return {name: self.value(one) for name, one in node["content"].items()}

    def _attrs(self, node: Any) -> dict[str, Any]:
        attrs = self.value(node["content"]) if node.get("content") is not None else None
        if not isinstance(attrs, dict | None):
            raise Untrusted(f"its file has a {_kind(node)} whose attributes have no names")
        return attrs or {}

    def _called(self, node: Any) -> Thing:
        return Thing(_kind(node), self._attrs(node), self.value(node["__reduce__"]["args"]))

    def _array(self, node: Any) -> Any:
        kind = _kind(node)
        if node["type"] == "json":
            items = [self.value(one) for one in node["content"]]
            if kind != "numpy.ndarray" or self.value(node["shape"]) != (len(items),):
                raise Untrusted("its file has an array of objects that is no plain list of them")
            objects = np.empty(len(items), dtype=object)
            objects[:] = items
            return objects
        # Each array has a file of its own: one that many name would be read as often.
        if node["type"] != "numpy" or node["file"] != f"{node['__id__']}.npy":
            raise Untrusted("its file has an array that is stored otherwise than ours")
        content = np.load(io.BytesIO(self._archive.read(node["file"])), allow_pickle=False)
        if kind == "numpy.ndarray":
            return content
        if content.shape != () or kind != f"numpy.{content.dtype}" or str(content.dtype) not in _SCALARS:
            raise Untrusted(f"its file has a number of the kind {kind}")
        return content[()]


def _kind(node: Any) -> str:
    return f"{node['__module__']}.{node['__class__']}"


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, Thing):
        return one.kind == other.kind and _same(dict(one.attrs), dict(other.attrs)) and _same(one.args, other.args)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and _same(one.tolist(), other.tolist())
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other or (one != one and other != other))
