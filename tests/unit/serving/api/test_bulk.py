"""Large requests in a process of their own: the same answers, and what happens when it does not survive one."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from ml.errors import Unavailable
from ml.registry.loading import LoadedModel
from serving.api.bulk import Bulk, Job, Stopped
from serving.models.predictor import Predictor
from serving.web.messages import RequestRefused
from tests.fakes import ROW

ROWS = [{**ROW, "Age": 20 + number % 40} for number in range(500)]


def parquet() -> bytes:
    found = io.BytesIO()
    pd.DataFrame(ROWS).to_parquet(found)
    return found.getvalue()


JOBS = {
    "JSON": Job(json.dumps({"rows": ROWS, "explain": True}).encode(), "application/json", {}, 1000),
    "CSV": Job(pd.DataFrame(ROWS).to_csv(index=False).encode(), "text/csv", {"threshold": "0.3"}, 1000),
    "Parquet": Job(parquet(), "application/vnd.apache.parquet", {}, 1000),
}
FAR_OUT = replace(JOBS["JSON"], body=json.dumps({"rows": [*ROWS, {**ROW, "Area Income": 1e90}]}).encode())


@pytest.fixture(scope="module")
def bulk() -> Iterator[Bulk]:
    found = Bulk()
    yield found
    found.close()


@pytest.fixture
def predictor(model: LoadedModel) -> Predictor:
    return Predictor.of(model)


@pytest.mark.parametrize("job", JOBS.values(), ids=list(JOBS))
def test_the_answer_is_the_one_that_is_found_here(bulk: Bulk, predictor: Predictor, job: Job) -> None:
    assert bulk.answer(predictor, job) == job.answer(predictor)


@pytest.mark.parametrize(("job", "has_form"), [(FAR_OUT, True), (JOBS["CSV"], False)], ids=["far out", "not linear"])
def test_what_the_form_leaves_to_others_is_asked_back(
    bulk: Bulk, predictor: Predictor, job: Job, has_form: bool
) -> None:
    version = "7" if has_form else "8"
    asked = replace(predictor, loaded=replace(predictor.loaded, version=version))
    asked = asked if has_form else replace(asked, form=None)

    assert bulk.answer(asked, job) == job.answer(asked)


def test_more_versions_than_it_keeps_are_told_apart(bulk: Bulk, predictor: Predictor) -> None:
    for version in (*map(str, range(20, 27)), "20"):
        asked = replace(predictor, loaded=replace(predictor.loaded, version=version))
        assert json.loads(bulk.answer(asked, JOBS["JSON"])[0])["model"]["version"] == version


def test_a_version_that_is_asked_again_is_not_sent_again(bulk: Bulk, predictor: Predictor) -> None:
    sent: list[int] = []

    class Categories(dict[str, frozenset[str]]):
        def __reduce__(self) -> tuple[type, tuple[dict[str, frozenset[str]]]]:
            sent.append(len(self))
            return dict, (dict(self),)

    one, other = (replace(predictor, categories=Categories(predictor.categories)) for _ in range(2))
    answers = [bulk.answer(asked, JOBS["JSON"]) for asked in (one, one, other, one, other)]

    assert answers == [JOBS["JSON"].answer(predictor)] * 5
    assert len(sent) == 2


def test_a_refusal_is_the_same_refusal(bulk: Bulk, predictor: Predictor) -> None:
    job = replace(JOBS["JSON"], body=json.dumps({"rows": [*ROWS, {**ROW, "Age": "x"}]}).encode())
    found: list[Any] = []
    for ask in (bulk.answer, lambda one, other: other.answer(one)):
        with pytest.raises(RequestRefused) as refused:
            ask(predictor, job)
        found.append(vars(refused.value))

    assert found[0] == found[1]
    assert found[0]["problems"][0]["row"] == len(ROWS)


def test_one_that_ended_is_started_again(predictor: Predictor) -> None:
    bulk = Bulk()
    bulk.start()
    assert bulk._process
    first = bulk._process
    bulk.answer(predictor, JOBS["CSV"])
    os.kill(first.pid, signal.SIGTERM)
    assert os.getpgid(first.pid) != os.getpgid(0), "what tells the service to stop would cut off its last requests"

    first.wait()

    assert bulk.answer(predictor, JOBS["CSV"]) == JOBS["CSV"].answer(predictor)
    bulk.close()


def test_one_that_does_not_survive_a_request_or_takes_too_long_is_told_of(predictor: Predictor) -> None:
    bulk = Bulk(patience_s=0.0)
    with pytest.raises(Stopped, match="more than 0 s"):
        bulk.answer(predictor, JOBS["CSV"])
    assert bulk._process is None

    class Dying(Predictor):
        def probability(self, columns: Any) -> Any:
            assert bulk._process
            bulk._process.kill()
            bulk._process.wait()
            return super().probability(columns)

    bulk = Bulk()
    with pytest.raises(Stopped, match="ended"):
        bulk.answer(Dying(predictor.loaded, None, predictor.nullable), JOBS["CSV"])
    bulk.close()


def test_an_error_of_the_service_leaves_the_process_in_step(bulk: Bulk, predictor: Predictor) -> None:
    class Failing(Predictor):
        def probability(self, columns: Any) -> Any:
            raise RequestRefused(503, "no_process", "the model's process is away")

    failing = Failing(replace(predictor.loaded, version="9"), None, predictor.nullable)
    with pytest.raises(RequestRefused, match="away"):
        bulk.answer(failing, JOBS["CSV"])

    assert bulk.answer(predictor, JOBS["CSV"]) == JOBS["CSV"].answer(predictor)


def test_an_error_of_the_models_own_process_is_for_the_scoring_to_tell(bulk: Bulk, predictor: Predictor) -> None:
    class Away(Predictor):
        def probability(self, columns: Any) -> Any:
            raise Unavailable("the model's process is away")

    away = Away(replace(predictor.loaded, version="11"), None, predictor.nullable)
    assert bulk._process
    before = bulk._process.pid
    with pytest.raises((Stopped, RequestRefused)):
        bulk.answer(away, JOBS["CSV"])

    assert bulk.answer(predictor, JOBS["CSV"]) == JOBS["CSV"].answer(predictor)
    assert bulk._process.pid == before
