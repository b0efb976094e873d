"""A skops file is read as plain values, and refused where it holds anything but what our files hold."""

from __future__ import annotations

import io
import json
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from ml.errors import ForbiddenType, Untrusted
from ml.model_file import skops_file
from ml.model_file.skops_file import Thing
from tests.unit.ml.model_file.conftest import LOGISTIC, fitted, opened


def _schema_changed(content: bytes, change: Callable[[Any], None]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as changed:
        for name in source.namelist():
            told_ = source.read(name)
            if name == "schema.json":
                schema = json.loads(told_)
                change(schema)
                told_ = json.dumps(schema).encode()
            changed.writestr(name, told_)
    return target.getvalue()


def _other_protocol(schema: Any) -> None:
    schema["protocol"] = 0


def _two_things_of_one(schema: Any) -> None:
    first, second = schema["content"]["content"]["steps"]["content"]
    second["content"][1]["__id__"] = first["content"][1]["__id__"]


def _one_file_for_two_arrays(schema: Any) -> None:
    attrs = schema["content"]["content"]["steps"]["content"][1]["content"][1]["content"]["content"]
    attrs["coef_"]["file"] = attrs["intercept_"]["file"]


@pytest.mark.parametrize("change", [_other_protocol, _two_things_of_one, _one_file_for_two_arrays])
def test_a_file_that_is_written_otherwise_is_refused(change: Callable[[Any], None]) -> None:
    with pytest.raises(Untrusted):
        opened(_schema_changed(skops.io.dumps(fitted(LOGISTIC)), change))


def _read(value: Any) -> Any:
    """What is read of the file that skops writes of a value."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(value))) as archive:
        return skops_file.read(archive)


def test_what_is_in_a_file_is_told_as_plain_values() -> None:
    plain = {"text": "a", "list": [1, 2.5, None, True], "tuple": (1, "b"), "slice": slice(0, 3, None)}

    found = _read({**plain, "dtype": np.dtype("int64"), "number": np.float64(0.5), "class": np.float64})

    assert {name: found[name] for name in plain} == plain
    assert (found["dtype"], found["number"]) == (np.dtype("int64"), 0.5)
    assert found["class"] == Thing("type", {"name": "numpy.float64"})


def test_an_array_keeps_its_numbers_and_its_objects() -> None:
    numbers, objects = _read([np.array([[1.5, np.nan]], dtype="float32"), np.array(["a", None], dtype=object)])

    assert (numbers.dtype, numbers.shape, numbers[0, 0]) == (np.dtype("float32"), (1, 2), 1.5)
    assert (objects.dtype, objects.tolist()) == (np.dtype(object), ["a", None])


def test_an_object_is_told_by_its_class_and_what_it_holds_and_is_not_made() -> None:
    found = _read(LogisticRegression(C=0.5))

    assert found.kind == "sklearn.linear_model._logistic.LogisticRegression"
    assert (found.attrs["C"], found.args) == (0.5, ())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1: "a"}, "a dictionary whose names are no texts"),
        (np.float32(1), "a number of the kind numpy.float32"),
        (np.array([["a"], ["b"]], dtype=object), "an array of objects that is no plain list of them"),
        (OrderedDict(a=1), "a dictionary whose names are no texts"),
    ],
    ids=["number as name", "float32", "table of objects", "another dictionary"],
)
def test_what_no_file_of_ours_has_is_refused(value: Any, words: str) -> None:
    with pytest.raises(Untrusted, match=words):
        _read(value)


@pytest.mark.parametrize(("value", "kind"), [({1, 2}, "builtins.set"), (b"x", "builtins.bytes")])
def test_an_entry_of_another_kind_is_named(value: Any, kind: str) -> None:
    with pytest.raises(ForbiddenType, match=f"its file holds types that are not trusted: {kind} "):
        _read(value)
