"""Each cell of a request against the model's signature: what is taken as what, and what is named."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.registry.loading import LoadedModel
from ml.values import Column
from serving.api.parsing import CSV, JSON, parse
from serving.api.scoring import score
from serving.api.table import ABSENT, Table, checked
from serving.models.predictor import Predictor
from serving.web.messages import RequestRefused
from tests.fakes import ROW, Client, body, refused


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


def test_many_wrong_rows_are_told_of_up_to_a_limit(model: LoadedModel) -> None:
    error = refused(body(*[{**ROW, "Age": "old"}] * 90), model=model)

    assert len(error.problems) == 20


def test_text_fields_take_no_lists_records_and_novels(model: LoadedModel) -> None:
    texts: Any = dataclasses.replace(model, inputs={"colour": "string"})

    for wrong in ({}, [], "x" * 2000):
        with pytest.raises(RequestRefused) as caught:
            score(Predictor.of(texts), Table(1, [{"colour": wrong}]))
        assert caught.value.problems[0]["field"] == "colour"


def test_the_largest_numbers_that_are_taken_are_computed_with(client: Client) -> None:
    extremes = [dict.fromkeys(ROW, value) for value in (1e100, -1e100, 5e-324, 0, -0.0, 10**100, 2**63)]

    answer = client.post("/predict", json={"rows": extremes})

    assert answer.status_code == 200, answer.text
    assert all(0 <= value <= 1 for value in answer.json()["probabilities"])


@pytest.mark.parametrize("cell", ["", "NA", "null", " "])
def test_a_missing_text_in_csv_is_missing_as_in_training(model: LoadedModel, cell: str) -> None:
    seen: list[Any] = []

    class Looks:
        def predict_proba(self, frame: Any) -> Any:
            seen.extend(frame["colour"].tolist())
            return np.full((len(frame), 2), 0.5)

    texts = replace(model, inputs={"colour": "string", "size": "double"}, pipeline=Looks())
    score(Predictor.of(texts), parse(f"colour,size\n{cell},1\nred,2\n".encode(), CSV, 10))

    first, second = seen[-2:]
    assert first != first
    assert second == "red"


def test_half_a_character_is_no_text(model: LoadedModel) -> None:
    with pytest.raises(RequestRefused) as caught:
        score(
            Predictor.of(replace(model, inputs={"colour": "string"})),
            parse(b'{"rows": [{"colour": "\\ud800"}]}', JSON, 10),
        )

    assert caught.value.problems[0]["field"] == "colour"


def test_a_missing_number_is_imputed(client: Client) -> None:
    by_json = client.post("/predict", json={"rows": [{**ROW, "Age": None}]}).json()
    header, line = ",".join(ROW), ",".join("" if name == "Age" else str(value) for name, value in ROW.items())

    by_csv = client.post("/predict", content=f"{header}\n{line}\n", kind="text/csv").json()

    assert by_json["probabilities"] == by_csv["probabilities"]
    assert by_json["probabilities"] != client.post("/predict", json={"rows": [ROW]}).json()["probabilities"]


def test_what_is_wrong_is_told_row_by_row_with_its_rule(model: LoadedModel) -> None:
    predictor = replace(Predictor.of(model), nullable=frozenset({"Age"}))

    with pytest.raises(RequestRefused) as caught:
        checked(predictor, Table(2, [{**ROW, "Male": None}, {**ROW, "Age": [1], "Male": "x"}]))

    number = "a finite number from -1e100 to 1e100"
    assert [tuple(one.values()) for one in caught.value.problems] == [
        (0, "Male", f"{number}, not None"),
        (1, "Age", f"{number}, or null, not list"),
        (1, "Male", f"{number}, not 'x'"),
    ]
    assert caught.value.message == f"row 0: field 'Male': {number}, not None"


def test_a_truth_is_one_or_zero_and_nothing_else(model: LoadedModel) -> None:
    column = Column("sold", "boolean")
    predictor = Predictor.of(replace(model, inputs={"sold": "double"}, columns={"sold": column}, input_example=[]))

    assert checked(predictor, Table(3, columns={"sold": [True, 0, "true"]}))["sold"].tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(RequestRefused, match="true or false, or 1 or 0, not 2"):
        checked(predictor, Table(1, columns={"sold": [2]}))


def test_a_field_that_a_row_does_not_have_is_absent() -> None:
    assert Table(2, [{"a": 1}, {}]).column("a") == [1, ABSENT]
    assert Table(2, columns={"a": [1, 2]}).column("b") == [ABSENT, ABSENT]
    assert set(Table(2, [{"a": 1}, {"b": 2}]).names()) == {"a", "b"}


@pytest.mark.parametrize("by", ["request", "training"])
def test_a_decimal_comma_is_read_where_the_file_has_it(model: LoadedModel, by: str) -> None:
    predictor = Predictor.of(replace(model, commas=by == "training"))

    found = checked(predictor, Table(1, [{**ROW, "Age": "35,5"}], commas=by == "request"))

    assert found["Age"].tolist() == [35.5]
