"""Every shape in which rows may come is read alike, and what cannot be read is named; nothing gets a 500."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pandas as pd
import pytest

from ml.registry.loading import LoadedModel
from serving.api.parsing import parse
from serving.api.scoring import score
from serving.api.table import MAX_PROBLEMS, Table
from serving.models.predictor import Predictor
from serving.web.messages import RequestRefused
from tests.fakes import HEADER, LINE, OTHER, ROW, Client, body, refused

JSON = "application/json"


CSV = "text/csv"


PARQUET = "application/vnd.apache.parquet"


def aged(text: str) -> bytes:
    """A row whose age stands there as `text`."""
    return body(ROW).replace(b'"Age": 35', b'"Age": ' + text.encode())


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


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


SHAPES: dict[str, tuple[bytes, str]] = {
    "rows": (json.dumps({"rows": [ROW, OTHER]}).encode(), JSON),
    "records": (json.dumps({"dataframe_records": [ROW, OTHER]}).encode(), JSON),
    "columns": (json.dumps({"columns": {name: [ROW[name], OTHER[name]] for name in ROW}}).encode(), JSON),
    "split": (
        json.dumps(
            {
                "dataframe_split": {
                    "index": [0, 1],
                    "columns": list(ROW),
                    "data": [list(ROW.values()), list(OTHER.values())],
                }
            }
        ).encode(),
        JSON,
    ),
    "CSV": (pd.DataFrame([ROW, OTHER]).to_csv(index=False).encode(), "text/csv"),
    "Parquet": (parquet(pd.DataFrame([ROW, OTHER])), PARQUET),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_answer(client: Client, shape: str) -> None:
    content, kind = SHAPES[shape]
    expected = client.post("/predict", json={"rows": [ROW, OTHER]}).json()

    answer = client.post("/models/ad-click/predict", content=content, kind=kind)

    assert answer.status_code == 200, answer.text
    assert answer.json() == expected
    assert expected["predictions"] == [0, 1]


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        ({"rows": [ROW], "columns": {}}, 422, "columns"),
        ({"columns": []}, 422, "columns"),
        ({"columns": {"Age": [1, 2], "Male": [1]}}, 422, "columns"),
        ({"columns": {"Age": 1}}, 422, "columns"),
        ({"columns": {}}, 422, "rows"),
        ({"dataframe_split": []}, 422, "dataframe_split"),
        ({"dataframe_split": {"columns": ["Age"]}}, 422, "dataframe_split"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, 422, "dataframe_split"),
        ({"dataframe_split": {"columns": ["Age", "Age"], "data": [[1, 2]]}}, 422, "dataframe_split"),
        ({"dataframe_split": {"columns": ["Age"], "data": [[1], [1, 2]]}}, 422, "dataframe_split"),
        ({"dataframe_split": {"columns": ["Age"], "data": [[1]]}}, 422, "Male"),
        ({"rows": [ROW], "threshold": 1.5}, 422, "threshold"),
        ({"rows": [ROW], "threshold": "x"}, 422, "threshold"),
        ({"rows": [ROW], "threshold": True}, 422, "threshold"),
        ({"rows": [ROW], "threshold": None}, 422, "threshold"),
        ({"rows": [ROW], "explain": 7}, 422, "explain"),
        ({"rows": [ROW], "explain": [True]}, 422, "explain"),
    ],
)
def test_what_is_wrong_with_a_shape_is_named(client: Client, content: Any, status: int, field: str) -> None:
    answer = client.post("/predict", json=content)

    assert answer.status_code == status, answer.text
    assert field in [problem["field"] for problem in answer.json()["error"]["problems"]]


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"PAR1" + b"x" * 100 + b"PAR1", b"x", SHAPES["Parquet"][0][:-30]],
    ids=["empty", "mark", "marks", "x", "cut"],
)
def test_a_broken_parquet_file_is_refused(client: Client, content: bytes) -> None:
    answer = client.post("/predict", content=content, kind=PARQUET)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_parquet"


def test_a_parquet_file_that_unpacks_to_too_much_is_refused(client: Client) -> None:
    wide = pd.DataFrame(
        {**{name: [value] * 900 for name, value in ROW.items()}, "x": [f"{at:06d}" * 20_000 for at in range(900)]}
    )

    answer = client.post("/predict", content=parquet(wide), kind=PARQUET)

    assert answer.status_code in (400, 413)
    assert client.post("/predict", content=parquet(pd.DataFrame([ROW] * 1001)), kind=PARQUET).status_code == 413


def test_csv_gives_what_json_gives(model: LoadedModel) -> None:
    header, values = ",".join(ROW), ",".join(map(str, ROW.values()))

    found = score(Predictor.of(model), parse(f"\ufeff{header}\n{values}\n".encode(), "text/csv", 100))

    assert found["probabilities"] == score(Predictor.of(model), Table(1, [ROW]))["probabilities"]


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


def test_a_csv_row_is_counted_as_it_is_answered(client: Client) -> None:
    lines = f"{HEADER}\n\n{LINE}\n\n{LINE.replace('35', 'old')}\n"

    answer = client.post("/predict", content=lines, kind="text/csv; charset=utf-8")

    assert answer.json()["error"]["problems"][0]["row"] == 1


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


@pytest.mark.parametrize("shape", SHAPES)
def test_as_many_rows_as_are_taken_are_read(shape: str) -> None:
    content, kind = SHAPES[shape]

    assert parse(content, kind, 2).size == 2
    with pytest.raises(RequestRefused) as caught:
        parse(content, kind, 1)

    assert (caught.value.status, caught.value.code) == (413, "too_many_rows")
    assert caught.value.message == "there are more than 1 rows: send at most 1 at a time"


@pytest.mark.parametrize("kind", ["Text/CSV", "text/csv ; header=present", "text/csv; charset=utf-8"])
def test_a_content_type_is_read_without_its_parameters(kind: str) -> None:
    assert parse(f"{HEADER}\n{LINE}\n".encode(), kind, 1).size == 1


def test_options_may_stand_under_params_and_those_beside_the_rows_go_first() -> None:
    content = {"rows": [ROW], "params": {"threshold": 0.2, "explain": True}, "threshold": 0.4}

    found = parse(json.dumps(content).encode(), JSON, 1).options

    assert (found["threshold"], found["explain"]) == (0.4, True)


def test_a_file_says_whether_its_numbers_have_commas() -> None:
    assert parse(b"a;b\n1,5;2\n", CSV, 1).commas
    assert not parse(b"a,b\n1.5,2\n", CSV, 1).commas


def test_each_wrong_row_of_a_shape_is_told_of() -> None:
    with pytest.raises(RequestRefused) as caught:
        parse(b'{"dataframe_split": {"columns": ["a"], "data": [[1], 5, [1, 2]]}}', JSON, 9)

    rule = "a list of 1 values"
    assert caught.value.problems == [{"row": row, "field": "dataframe_split", "rule": rule} for row in (1, 2)]
    assert caught.value.message == "row 1 is no list of 1 values"
