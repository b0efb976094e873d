"""Requests that can be answered, and what is said of those that cannot."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from ml.registry.loading import LoadedModel, frame_of
from serving.api.parsing import parse
from serving.api.scoring import score
from serving.api.table import Table
from serving.models.predictor import Predictor
from serving.web.messages import RequestRefused
from tests.fakes import ROW


def body(*rows: object) -> bytes:
    return json.dumps({"rows": list(rows)}).encode()


def refused(content: bytes, kind: str = "application/json", model: LoadedModel | None = None) -> RequestRefused:
    try:
        rows = parse(content, kind, 100)
        assert model is not None
        score(Predictor.of(model), rows)
    except RequestRefused as error:
        return error
    pytest.fail("the request was answered")


def test_predictions_are_those_of_sklearn(model: LoadedModel) -> None:
    rows = [ROW, {**ROW, "Age": 60, "Daily Internet Usage": 110.0}]

    found = score(Predictor.of(model), parse(body(*rows), "application/json; charset=utf-8", 100))

    expected = model.pipeline.predict_proba(frame_of(model, rows))[:, 1]
    assert found["probabilities"] == pytest.approx(expected.tolist(), abs=1e-12, rel=0)
    assert found["predictions"] == model.pipeline.predict(frame_of(model, rows)).tolist()
    assert found["model"] == {"name": "ad-click", "version": "7"}
    assert "ignored_fields" not in found


def test_unknown_fields_are_ignored_and_named(model: LoadedModel) -> None:
    found = score(Predictor.of(model), parse(body({**ROW, "City": "x", "Zip": 1}), "application/json", 100))

    assert found["ignored_fields"] == ["City", "Zip"]


def test_csv_gives_what_json_gives(model: LoadedModel) -> None:
    header, values = ",".join(ROW), ",".join(map(str, ROW.values()))

    found = score(Predictor.of(model), parse(f"\ufeff{header}\n{values}\n".encode(), "text/csv", 100))

    assert found["probabilities"] == score(Predictor.of(model), Table(1, [ROW]))["probabilities"]


@pytest.mark.parametrize("text", ["35", " 35.0 ", "3.5e1"])
def test_a_number_may_stand_there_as_text_as_it_does_in_a_file(model: LoadedModel, text: str) -> None:
    found, expected = (score(Predictor.of(model), Table(1, [{**ROW, "Age": value}])) for value in (text, 35))

    assert found["probabilities"] == expected["probabilities"]


@pytest.mark.parametrize("value", ["", "NaN", None])
def test_what_is_missing_in_a_file_is_missing_in_a_request(model: LoadedModel, value: object) -> None:
    found, expected = (score(Predictor.of(model), Table(1, [{**ROW, "Age": one}])) for one in (value, None))

    assert found["probabilities"] == expected["probabilities"]


@pytest.mark.parametrize("value", ["old", True, [], {}, "3_5", "1,5"])
def test_a_value_that_is_no_number_is_named(model: LoadedModel, value: object) -> None:
    error = refused(body(ROW, {**ROW, "Age": value}), model=model)

    assert error.status == 422
    assert (error.problems[0]["row"], error.problems[0]["field"]) == (1, "Age")
    assert "number" in error.problems[0]["rule"]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_numbers_that_are_not_finite_are_refused(model: LoadedModel, text: str) -> None:
    error = refused(body(ROW).replace(b": 35", f": {text}".encode()), model=model)

    assert error.status == 422
    assert error.problems[0]["field"] == "Age"


def test_a_missing_field_is_named(model: LoadedModel) -> None:
    error = refused(body({name: value for name, value in ROW.items() if name != "Male"}), model=model)

    assert error.problems == [{"row": 0, "field": "Male", "rule": "required"}]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"null", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'"rows"', "application/json", 422),
        (b'{"rows": {}}', "application/json", 422),
        (b'{"rows": []}', "application/json", 422),
        (b'{"rows": [1]}', "application/json", 422),
        (b'{"rows": [[]]}', "application/json", 422),
        (b'{"rows": [{}]}', "application/json", 422),
        (body(*[ROW] * 101), "application/json", 413),
        (b"", "text/csv", 422),
        (b"Age\n", "text/csv", 422),
        (b"Age,Age\n1,2\n", "text/csv", 400),
        (b"Age,Male\n1\n", "text/csv", 400),
        (b'Age\n"1\n', "text/csv", 400),
        (b"\xff\n1\n", "text/csv", 400),
        (b"Age\nold\n", "text/csv", 422),
        (body(ROW), "", 415),
        (body(ROW), "application/xml", 415),
        (body(ROW), "multipart/form-data", 415),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(
    model: LoadedModel, content: bytes, kind: str, status: int
) -> None:
    error = refused(content, kind, model)

    assert error.status == status
    assert error.message
    assert "\n" not in error.message


def test_many_wrong_rows_are_told_of_up_to_a_limit(model: LoadedModel) -> None:
    error = refused(body(*[{**ROW, "Age": "old"}] * 90), model=model)

    assert len(error.problems) == 20


def test_text_fields_take_no_lists_records_and_novels(model: LoadedModel) -> None:
    texts: Any = dataclasses.replace(model, inputs={"colour": "string"})

    for wrong in ({}, [], "x" * 2000):
        with pytest.raises(RequestRefused) as caught:
            score(Predictor.of(texts), Table(1, [{"colour": wrong}]))
        assert caught.value.problems[0]["field"] == "colour"
