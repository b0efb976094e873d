"""What programs are answered, and why they are not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import HashMismatch
from ml.registry.loading import LoadedModel
from serving.api.bulk import Bulk, Job
from serving.api.handlers import QUICK_BYTES, Api
from serving.api.parsing import JSON
from serving.api.webhook import Webhooks
from serving.models.cache import LiveModel
from serving.models.predictor import Predictor
from serving.models.repository import ModelRepository
from serving.settings import ServingSettings
from serving.upstream.pipeline import PipelineMonitor
from serving.upstream.registry import Champion
from serving.web.messages import Request, RequestRefused, TakesLonger
from tests.fakes import ROW, Airflow, Client, Registry, Service, body, service_of


def test_predict_answers_with_the_version_in_body_and_headers(service: Service) -> None:
    service.registry.aliases_now = {"champion": "7"}
    service.refresh()

    answer = service.client.post("/predict", json={"rows": [ROW]})

    assert answer.status_code == 200
    assert answer.json()["model"] == {"name": "ad-click", "version": "7"}
    assert (answer.headers["X-Model-Name"], answer.headers["X-Model-Version"]) == ("ad-click", "7")


def test_predict_without_a_model_says_so(service: Service) -> None:
    answer = service.client.post("/predict", json={"rows": [ROW]})

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "no_model"
    assert answer.json()["error"]["message"] == "no model is live: no version was promoted yet: promote one"


def test_predict_says_that_the_champion_is_being_fetched(service: Service) -> None:
    service.repository.main.champion = Champion("7", "0" * 64, ("champion",), "r")

    answer = service.client.post("/predict", json={"rows": [ROW]})

    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == (
        "no model is live: version 7 is being fetched: ask again in a few seconds"
    )


def test_predict_tells_why_the_champion_is_not_served(service: Service) -> None:
    service.registry.aliases_now = {"champion": "7"}
    service.registry.fetch_error = HashMismatch("its file was changed")
    service.repository.refresh()

    answer = service.client.post("/predict", json={"rows": [ROW]})

    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "no model is live: version 7 was not loaded: its file was changed"
    model = service.client.get("/status").json()["model"]
    assert (model["champion"], model["version"]) == ("7", None)


def test_a_compressed_body_is_refused_by_name(client: Client) -> None:
    answer = client.post("/predict", content=b"\x1f\x8b", kind=JSON, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 415
    assert answer.json()["error"]["problems"][0]["field"] == "Content-Encoding"


def test_a_model_tells_its_signature_example_and_metrics(client: Client) -> None:
    found = client.get("/models/ad-click").json()

    assert found["signature"]["Age"] in ("double", "long")
    assert set(found["example"][0]) == set(ROW)
    assert found["metrics"] == {"test_accuracy": 0.9}
    assert found["aliases"] == ["champion"]
    assert client.get("/models").json()["models"][0]["name"] == "ad-click"
    assert client.post("/predict", json={"rows": found["example"]}).status_code == 200
    assert client.get("/models/nothing").status_code == 404


class Constant:
    """A Pipeline that finds one probability for everything."""

    def __init__(self, probability: float) -> None:
        self._probability = probability

    def predict_proba(self, frame: Any) -> Any:
        return np.full((len(frame), 2), [1 - self._probability, self._probability])


def test_no_answer_mixes_two_versions_while_they_are_swapped(
    settings: ServingSettings, repository: ModelRepository, model: LoadedModel
) -> None:
    lives = [
        LiveModel.now(Predictor.of(replace(model, version=str(number), pipeline=Constant(number / 10))), {})
        for number in range(1, 10)
    ]
    repository.main.live = lives[0]
    app = service_of(settings, repository)
    wrong: list[Any] = []

    def ask() -> None:
        client = Client(app)
        for _ in range(60):
            answer = client.post("/predict", json={"rows": [ROW, ROW]})
            found = answer.json()
            version = found["model"]["version"]
            expected = [int(version) / 10] * 2
            if found["probabilities"] != expected or answer.headers["X-Model-Version"] != version:
                wrong.append(found)

    def swap(until: Callable[[], bool]) -> None:
        at = 0
        while not until():
            at += 1
            repository.main.live = lives[at % len(lives)]

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    swap(lambda: not any(thread.is_alive() for thread in threads))

    assert wrong == []


def api_of(settings: ServingSettings, repository: ModelRepository, bulk: Bulk | None = None) -> Api:
    monitor = PipelineMonitor(Airflow(), "Airflow_Lab2")
    return Api(settings, monitor, repository, Webhooks(""), bulk)


@pytest.fixture
def api(settings: ServingSettings, repository: ModelRepository) -> Api:
    """What answers, with version 7 live."""
    return api_of(settings, repository)


def request(content: bytes = b"", kind: str = JSON, **options: Any) -> Request:
    return Request("POST", "/x", "", {"content-type": kind}, "127.0.0.1", content, **options)


def rows_of_ones(count: int) -> bytes:
    """So many rows in few bytes."""
    return json.dumps({"columns": dict.fromkeys(ROW, [1] * count)}).encode()


@pytest.mark.parametrize(
    ("content", "kind"),
    [(body(ROW).ljust(QUICK_BYTES + 1), JSON), (rows_of_ones(201), JSON), (b"", "text/csv"), (b"", "")],
    ids=["bytes", "cells", "CSV", "nothing"],
)
def test_what_takes_its_time_is_not_answered_at_once(api: Api, content: bytes, kind: str) -> None:
    with pytest.raises(TakesLonger) as caught:
        api.predict(request(content, kind, at_once=True))

    assert caught.value.is_large


@pytest.mark.parametrize("content", [body(ROW).ljust(QUICK_BYTES), rows_of_ones(200)], ids=["bytes", "cells"])
def test_what_takes_no_time_is_answered_at_once(api: Api, content: bytes) -> None:
    assert api.predict(request(content, "application/json; charset=utf-8", at_once=True)).status == 200


def test_what_the_form_declines_takes_longer_and_is_not_large(api: Api, repository: ModelRepository) -> None:
    assert repository.main.live
    predictor = replace(repository.main.live.predictor, form=None)
    repository.main.live = replace(repository.main.live, predictor=predictor)

    with pytest.raises(TakesLonger) as caught:
        api.predict(request(body(ROW), at_once=True))

    assert not caught.value.is_large


def test_only_large_requests_go_to_the_process_for_them(settings: ServingSettings, repository: ModelRepository) -> None:
    class Elsewhere(Bulk):
        def answer(self, predictor: Predictor, job: Job) -> tuple[bytes, dict[str, Any]]:
            return b"there", {"rows": job.max_rows}

    api = api_of(settings, repository, Elsewhere())

    large = api.predict(request(body(ROW), is_large=True))
    assert (large.body, large.facts) == (b"there", {"rows": 1000})
    assert ("X-Model-Version", "7") in large.headers
    assert b"probabilities" in api.predict(request(body(ROW))).body


def test_ready_tells_those_who_may_read_what_is_live(api: Api) -> None:
    stranger, reader = (json.loads(api.ready(request(may_read=may_read)).body) for may_read in (False, True))

    assert stranger == {"ready": True}
    assert (reader["ready"], reader["model"]["version"]) == (True, "7")
    assert "reason" not in reader


def test_not_ready_is_told_to_all_and_why_to_those_who_may_read(
    settings: ServingSettings, folder: Path, tags: dict[str, str]
) -> None:
    repository = ModelRepository(Registry(folder, tags), "ad-click", settings.state_dir)
    repository.refresh()

    found = [api_of(settings, repository).ready(request(may_read=may_read)) for may_read in (False, True)]

    assert [one.status for one in found] == [503, 503]
    assert json.loads(found[0].body) == {"ready": False}
    assert json.loads(found[1].body)["reason"] == "no version is champion yet: promote one"


def test_a_model_that_is_not_served_is_named(api: Api) -> None:
    with pytest.raises(RequestRefused) as caught:
        api.model(request(name="n" * 99))

    assert (caught.value.status, caught.value.code) == (404, "no_such_model")
    assert caught.value.message == f"no model '{'n' * 60}' is served: GET /models"


def test_a_refresh_asks_mlflow_at_once(api: Api, repository: ModelRepository) -> None:
    assert not repository.wake.is_set()

    answer = api.refresh(request())

    assert (answer.status, json.loads(answer.body)) == (202, {"asked": True})
    assert repository.wake.is_set()


def test_a_state_that_nobody_made_yet_takes_longer(api: Api) -> None:
    with pytest.raises(TakesLonger):
        api.status(request(at_once=True))

    assert json.loads(api.status(request()).body)["model"]["version"] == "7"
