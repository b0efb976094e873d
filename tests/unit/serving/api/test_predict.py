"""Whatever is posted to /predict gets a prediction or a 4xx that names the field and the rule; nothing gets a 500."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.registry.loading import LoadedModel
from serving.api.parsing import parse
from serving.api.scoring import score
from serving.api.table import MAX_PROBLEMS, Table
from serving.models.cache import LiveModel
from serving.models.predictor import Predictor
from serving.models.repository import ModelRepository
from serving.settings import ServingSettings
from serving.web.messages import RequestRefused
from tests.fakes import ROW, Client, Registry, service_of

JSON = "application/json"
CSV = "text/csv"
HEADER = ",".join(ROW)
LINE = ",".join(map(str, ROW.values()))


@pytest.fixture
def repository(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> ModelRepository:
    registry = Registry(folder, tags)
    registry.aliases_now = {"champion": "7"}
    found = ModelRepository(registry, "ad-click", settings.state_dir)
    found.refresh()
    return found


@pytest.fixture
def client(settings: ServingSettings, repository: ModelRepository) -> Client:
    return Client(service_of(settings, repository))


def body(*rows: Any) -> bytes:
    return json.dumps({"rows": list(rows)}).encode()


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    """A body that is sent without its length."""
    for at in range(0, len(content), 50_000):
        yield content[at : at + 50_000]


def aged(text: str) -> bytes:
    """A row whose age stands there as `text`."""
    return body(ROW).replace(b'"Age": 35', b'"Age": ' + text.encode())


# What is sent, as what, the status, and a field and a part of the rule that the answer must name.
REFUSED: list[tuple[bytes, str, int, str | None, str]] = [
    (b"", JSON, 400, "body", "JSON"),
    (b"{", JSON, 400, "body", "JSON"),
    (b"not json", JSON, 400, "body", "JSON"),
    (b"\xff\xfe{\x00}\x00", JSON, 400, "body", "UTF-8"),
    (b"\x1f\x8b\x08\x00", JSON, 400, "body", "UTF-8"),
    (b"[" * 50_000, JSON, 400, "body", "JSON"),
    (b'{"rows":[{"Age":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}", JSON, 400, "body", "JSON"),
    (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, JSON, 400, "body", "JSON"),
    (aged("9" * 5000), JSON, 400, "body", "JSON"),
    (b"null", JSON, 422, "rows", "list"),
    (b"[]", JSON, 422, "rows", "list"),
    (b"1e999", JSON, 422, "rows", "list"),
    (b"{}", JSON, 422, "rows", "list"),
    (b'{"rows": null}', JSON, 422, "rows", "list"),
    (b'{"rows": "x"}', JSON, 422, "rows", "list"),
    (b'{"rows": []}', JSON, 422, "rows", "at least one"),
    (b'{"rows": [null]}', JSON, 422, "rows", "object"),
    (b'{"rows": [[1, 2]]}', JSON, 422, "rows", "object"),
    (b'{"rows": [{}]}', JSON, 422, "Age", "required"),
    (aged("NaN"), JSON, 422, "Age", "finite number"),
    (aged("Infinity"), JSON, 422, "Age", "finite number"),
    (aged("-Infinity"), JSON, 422, "Age", "finite number"),
    (aged("1e400"), JSON, 422, "Age", "finite number"),
    (aged("1.7976931348623157e308"), JSON, 422, "Age", "1e100"),
    (aged("-1e101"), JSON, 422, "Age", "1e100"),
    (aged("1" + "0" * 400), JSON, 422, "Age", "finite number"),
    (aged("true"), JSON, 422, "Age", "finite number"),
    (aged('"35 years"'), JSON, 422, "Age", "finite number"),
    (aged('"\\ud800"'), JSON, 422, "Age", "finite number"),
    (aged('"' + "x" * 10_000 + '"'), JSON, 422, "Age", "finite number"),
    (aged("[35]"), JSON, 422, "Age", "finite number"),
    (aged('{"a": 1}'), JSON, 422, "Age", "finite number"),
    (body(*[ROW] * 1001), JSON, 413, "rows", "1000"),
    (b" " * 200_001, JSON, 413, "body", "200000"),
    (b"x" * 5_000_000, JSON, 413, "body", "200000"),
    (b"", CSV, 422, "rows", "at least one"),
    (f"{HEADER}\n".encode(), CSV, 422, "rows", "at least one"),
    (f"{HEADER}\n{LINE},1\n".encode(), CSV, 400, "body", "CSV"),
    (f"{HEADER},Age\n{LINE},1\n".encode(), CSV, 400, "body", "once"),
    (f"Age\n{'1'}\n".encode(), CSV, 422, "Male", "required"),
    (f"{HEADER}\n".encode() + LINE.encode().replace(b"35", b"3_5"), CSV, 422, "Age", "finite number"),
    (f"{HEADER}\n".encode() + LINE.encode().replace(b"35", b"True"), CSV, 422, "Age", "finite number"),
    (f"{HEADER}\n".encode() + LINE.encode().replace(b"35", "\u0663\u0665".encode()), CSV, 422, "Age", "finite number"),
    (f"{HEADER}\n".encode() + LINE.encode().replace(b"35", b"1\x00"), CSV, 400, "body", "UTF-8"),
    ((HEADER + "\n" + (LINE + "\n") * 1001).encode(), CSV, 413, "rows", "1000"),
    (f'{HEADER}\n"unclosed'.encode(), CSV, 400, "body", "CSV"),
    (f"{HEADER}\n{'9' * 140_000}".encode(), CSV, 400, "body", "CSV"),
    (HEADER.encode("utf-16"), CSV, 400, "body", "UTF-8"),
    (("a," * 90_000).encode(), CSV, 400, "body", "once"),
    (body(ROW), "", 415, "Content-Type", JSON),
    (body(ROW), "text/plain", 415, "Content-Type", JSON),
    (body(ROW), "application/x-www-form-urlencoded", 415, "Content-Type", JSON),
    (body(ROW), "multipart/form-data; boundary=x", 415, "Content-Type", JSON),
    (body(ROW), "application/xml", 415, "Content-Type", CSV),
]


@pytest.mark.parametrize(
    ("content", "kind", "status", "field", "rule"), REFUSED, ids=[f"{at}" for at in range(len(REFUSED))]
)
def test_what_is_wrong_is_named(
    client: Client, content: bytes, kind: str, status: int, field: str | None, rule: str
) -> None:
    answer = client.post("/predict", content=content, kind=kind)

    assert answer.status_code == status, answer.text[:300]
    error = json.loads(answer.content, parse_constant=pytest.fail)["error"]
    assert error["code"]
    assert error["message"]
    assert "\n" not in error["message"]
    assert len(error["message"]) < 400
    assert 0 < len(error["problems"]) <= MAX_PROBLEMS
    assert any(problem["field"] == field and rule in problem["rule"] for problem in error["problems"]), error


@pytest.mark.parametrize("content", [b" " * 200_001, (HEADER + "\n" + (LINE + "\n") * 9000).encode()])
@pytest.mark.parametrize("kind", [JSON, CSV])
def test_a_body_without_a_length_is_not_cut_off_and_answered(client: Client, content: bytes, kind: str) -> None:
    answer = client.post("/predict", content=chunks(content), kind=kind)

    assert answer.status_code == 413
    assert answer.json()["error"]["problems"][0]["field"] == "body"


def test_a_body_of_just_the_limit_is_answered_with_and_without_a_length(client: Client) -> None:
    content = body(ROW).ljust(200_000)

    assert client.post("/predict", content=content, kind=JSON).status_code == 200
    for whole in (content, body(ROW)):
        assert client.post("/predict", content=chunks(whole), kind=JSON).status_code == 200


def test_a_compressed_body_is_refused_by_name(client: Client) -> None:
    answer = client.post("/predict", content=b"\x1f\x8b", kind=JSON, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 415
    assert answer.json()["error"]["problems"][0]["field"] == "Content-Encoding"


def _spoilt(random_: random.Random) -> bytes:
    """A good body with something done to it."""
    content = bytearray(body(ROW, ROW))
    for _ in range(random_.randint(1, 6)):
        at = random_.randrange(len(content))
        act = random_.randrange(4)
        if act == 0:
            content[at] = random_.randrange(256)
        elif act == 1:
            del content[at : at + random_.randint(1, 9)]
        elif act == 2:
            content[at:at] = random_.choice(
                [b"{", b"]", b"NaN", b'"', b"\\u0000", b"e999", b",", b"-", b"true", b"\xf0"]
            )
        else:
            content[at:at] = content[max(0, at - 20) : at]
    return bytes(content)


def test_no_spoilt_body_gets_a_500(client: Client) -> None:
    random_ = random.Random(42)
    seen: dict[int, int] = {}
    for _ in range(1500):
        answer = client.post("/predict", content=_spoilt(random_), kind=random_.choice([JSON, JSON, CSV]))
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1

        assert answer.status_code in (200, 400, 413, 422), answer.text
        json.loads(answer.content, parse_constant=pytest.fail)

    assert {200, 400, 422} <= set(seen)


def test_the_largest_numbers_that_are_taken_are_computed_with(client: Client) -> None:
    extremes = [dict.fromkeys(ROW, value) for value in (1e100, -1e100, 5e-324, 0, -0.0, 10**100, 2**63)]

    answer = client.post("/predict", json={"rows": extremes})

    assert answer.status_code == 200, answer.text
    assert all(0 <= value <= 1 for value in answer.json()["probabilities"])


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


def test_every_unknown_field_is_named(client: Client) -> None:
    unknown = {f"field {number:03d}": None for number in range(60)} | {"\ud800<b>": 1}

    answer = client.post("/predict", content=body({**ROW, **unknown}), kind=JSON)

    assert answer.status_code == 200
    assert answer.json()["ignored_fields"] == [name.replace("\ud800", "?") for name in sorted(unknown)]


def test_a_csv_row_is_counted_as_it_is_answered(client: Client) -> None:
    lines = f"{HEADER}\n\n{LINE}\n\n{LINE.replace('35', 'old')}\n"

    answer = client.post("/predict", content=lines, kind="text/csv; charset=utf-8")

    assert answer.json()["error"]["problems"][0]["row"] == 1


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
