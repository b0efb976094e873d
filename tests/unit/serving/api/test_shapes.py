"""Every shape in which rows may come gives the same answer, and the options do what they say."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from serving.models.repository import ModelRepository
from serving.settings import ServingSettings
from tests.fakes import ROW, Client, Registry, service_of

OTHER = {**ROW, "Age": 60, "Daily Internet Usage": 110.0}
JSON = "application/json"
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture
def client(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> Client:
    registry = Registry(folder, tags)
    registry.aliases_now = {"champion": "7"}
    repository = ModelRepository(registry, "ad-click", settings.state_dir)
    repository.refresh()
    return Client(service_of(settings, repository))


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


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


def test_a_model_tells_its_signature_example_and_metrics(client: Client) -> None:
    found = client.get("/models/ad-click").json()

    assert found["signature"]["Age"] in ("double", "long")
    assert set(found["example"][0]) == set(ROW)
    assert found["metrics"] == {"test_accuracy": 0.9}
    assert found["aliases"] == ["champion"]
    assert client.get("/models").json()["models"][0]["name"] == "ad-click"
    assert client.post("/predict", json={"rows": found["example"]}).status_code == 200
    assert client.get("/models/nothing").status_code == 404


def test_a_missing_number_is_imputed(client: Client) -> None:
    by_json = client.post("/predict", json={"rows": [{**ROW, "Age": None}]}).json()
    header, line = ",".join(ROW), ",".join("" if name == "Age" else str(value) for name, value in ROW.items())

    by_csv = client.post("/predict", content=f"{header}\n{line}\n", kind="text/csv").json()

    assert by_json["probabilities"] == by_csv["probabilities"]
    assert by_json["probabilities"] != client.post("/predict", json={"rows": [ROW]}).json()["probabilities"]


def test_each_request_has_an_id_and_one_line_in_the_log(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.post("/predict?note=secret", json={"rows": [ROW]}, headers={"X-Request-Id": "mine-1"})
    other = client.get("/status", headers={"X-Request-Id": b"not mine\xe4"})

    assert answer.headers["X-Request-Id"] == "mine-1"
    assert len(other.headers["X-Request-Id"]) == 16


def test_the_log_line_is_json_and_tells_no_data(
    settings: ServingSettings, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = Client(service_of(settings))
    answer = fresh.post("/predict?note=secret", json={"rows": [ROW]})
    # What was counted is told only after the lines are written.
    fresh.get("/metrics")

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("{")]

    found = json.loads(lines[-1])
    assert found["id"] == answer.headers["X-Request-Id"]
    assert (found["path"], found["status"], found["method"]) == ("/predict", 503, "POST")
    assert "secret" not in lines[-1]
    assert "61833" not in lines[-1]
