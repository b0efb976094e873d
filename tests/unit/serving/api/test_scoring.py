"""Requests that can be answered, and what is said of those that cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.errors import BadInput, Unavailable
from ml.registry.loading import LoadedModel, frame_of
from serving.api.parsing import JSON, parse
from serving.api.scoring import score
from serving.api.table import Table
from serving.models.predictor import Predictor
from serving.web.messages import RequestRefused
from tests.fakes import OTHER, ROW, Client, Service, body


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


@pytest.mark.parametrize("where", ["body", "params", "query"])
def test_the_threshold_moves_the_prediction(client: Client, where: str) -> None:
    probability = client.post("/predict", json={"rows": [OTHER]}).json()["probabilities"][0]
    for threshold, prediction in ((probability - 1e-6, 1), (probability + 1e-9, 0)):
        content: dict[str, Any] = {"rows": [OTHER]}
        query = f"?threshold={min(threshold, 1.0)!r}" if where == "query" else ""
        if where == "body":
            content["threshold"] = min(threshold, 1.0)
        if where == "params":
            content["params"] = {"threshold": min(threshold, 1.0)}

        answer = client.post("/predict" + query, json=content).json()

        assert answer["predictions"] == [prediction]
        assert answer["probabilities"] == [probability]


def test_contributions_come_on_demand(client: Client) -> None:
    found = client.post("/predict?explain=true", json={"rows": [ROW, OTHER]}).json()["explanation"]

    assert set(found["contributions"][0]) == set(ROW)
    assert "explanation" not in client.post("/predict", json={"rows": [ROW]}).json()


def test_every_unknown_field_is_named(client: Client) -> None:
    unknown = {f"field {number:03d}": None for number in range(60)} | {"\ud800<b>": 1}

    answer = client.post("/predict", content=body({**ROW, **unknown}), kind=JSON)

    assert answer.status_code == 200
    assert answer.json()["ignored_fields"] == [name.replace("\ud800", "?") for name in sorted(unknown)]


def test_a_row_for_which_there_is_no_probability_is_named(model: LoadedModel) -> None:
    class Strange:
        def predict_proba(self, frame: Any) -> Any:
            return np.array([[0.5, 0.5], [np.nan, np.nan]])

    with pytest.raises(RequestRefused) as caught:
        score(Predictor.of(replace(model, pipeline=Strange())), Table(2, [ROW, ROW]))

    assert (caught.value.status, caught.value.problems[0]["row"]) == (422, 1)


def test_predictions_are_those_of_sklearn_for_many_rows(model: LoadedModel) -> None:
    numbers = np.random.default_rng(3)
    rows = [{name: float(numbers.uniform(-2, 3) * (value or 1)) for name, value in ROW.items()} for _ in range(800)]
    from ml.registry.loading import frame_of

    found = score(Predictor.of(model), parse(body(*rows), JSON, 1000))

    frame = frame_of(model, rows)
    assert np.abs(np.array(found["probabilities"]) - model.pipeline.predict_proba(frame)[:, 1]).max() <= 1e-12
    assert found["predictions"] == model.pipeline.predict(frame).tolist()
    assert set(found["predictions"]) == {0, 1}


def test_a_process_that_cannot_predict_is_told_with_its_reason(service: Service) -> None:
    service.registry.aliases_now = {"champion": "7"}
    service.repository.refresh()
    live = service.repository.main.live
    for error, status in ((Unavailable("its process ended"), 503), (BadInput("too large"), 422)):

        def fail(columns: Any, error: Exception = error) -> Any:
            raise error

        predictor = replace(live.predictor, form=None, elsewhere=fail)
        service.repository.main.live = replace(live, predictor=predictor)

        answer = service.client.post("/predict", json={"rows": [ROW]})

        assert (answer.status_code, answer.json()["error"]["message"]) == (status, str(error))
