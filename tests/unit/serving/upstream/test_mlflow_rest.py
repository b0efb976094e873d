"""MLflow's REST API, asked as its variables say; and what is made of answers that are none."""

from __future__ import annotations

import json

import httpx
import pytest

from ml.errors import Misconfigured, PipelineError, TrackerDown
from serving.models.loader import Loader
from serving.upstream.mlflow_rest import MlflowHttp
from serving.upstream.registry import MlflowRegistry


def test_more_models_than_fit_a_page_are_all_found() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params.get("page_token") or "0")
        more = {"next_page_token": str(page + 1)} if page < 2 else {}
        return httpx.Response(200, json={"registered_models": [{"name": f"m{page}"}], **more})

    registry = MlflowRegistry("http://mlflow", (Loader(), Loader()), httpx.MockTransport(answer))

    assert registry.champions() == {"m0": None, "m1": None, "m2": None}


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (httpx.Response(401, text="who are you"), Misconfigured, r"refuses us \(401 who are you\): check the account"),
        (httpx.Response(403, text="Invalid Host header"), Misconfigured, "--allowed-hosts"),
        (httpx.Response(500, json={"error_code": "INTERNAL_ERROR"}), TrackerDown, "does not answer"),
        (httpx.Response(200, text="<html>"), TrackerDown, "does not answer"),
        (httpx.Response(200, json=[]), TrackerDown, "does not answer"),
        (httpx.Response(302, json={}, headers={"Location": "/login"}), TrackerDown, "does not answer"),
        (httpx.Response(400, json={"error_code": "INVALID_PARAMETER_VALUE"}), PipelineError, "INVALID_PARAMETER_VALUE"),
    ],
    ids=["account", "host", "failing", "page", "list", "elsewhere", "refused"],
)
def test_an_answer_that_is_none_is_told_of(answer: httpx.Response, error: type[Exception], message: str) -> None:
    registry = MlflowRegistry("http://mlflow", (Loader(), Loader()), httpx.MockTransport(lambda _: answer))

    with pytest.raises(error, match=message):
        registry.champions()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MLFLOW_TRACKING_USERNAME": "status", "MLFLOW_TRACKING_PASSWORD": "pw"}, "Basic c3RhdHVzOnB3"),
        ({"MLFLOW_TRACKING_TOKEN": "abc"}, "Bearer abc"),
        ({"MLFLOW_TRACKING_TOKEN": "abc", "MLFLOW_TRACKING_USERNAME": "status"}, "Bearer abc"),
        ({}, None),
    ],
    ids=["password", "token", "token beside a name", "nobody"],
)
def test_the_account_is_that_of_mlflows_variables(variables: dict[str, str], expected: str | None) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx.Response(200, json={})

    MlflowHttp("http://mlflow/", variables, httpx.MockTransport(answer)).get("registered-models/search")

    assert seen == [expected]


def test_a_server_that_is_away_is_an_outage_that_names_it() -> None:
    registry = MlflowRegistry("http://127.0.0.1:9", (Loader(), Loader()))

    for ask in (registry.champions, lambda: registry.versions("m")):
        with pytest.raises(TrackerDown, match=r"127\.0\.0\.1:9"):
            ask()


def asked(seen: list[httpx.Request], *answers: httpx.Response, **variables: str) -> MlflowHttp:
    """MLflow with these answers, one after the other."""
    left = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return next(left)

    return MlflowHttp("http://mlflow/base/", variables, httpx.MockTransport(answer))


def test_a_question_goes_to_the_api_below_the_address() -> None:
    seen: list[httpx.Request] = []
    http = asked(seen, httpx.Response(200, json={"run": 1}), httpx.Response(200, json={"runs": []}))

    assert http.get("runs/get", run_id="a b") == {"run": 1}
    assert http.post("runs/search", filter="x") == {"runs": []}

    assert [(one.method, one.url.path) for one in seen] == [
        ("GET", "/base/api/2.0/mlflow/runs/get"),
        ("POST", "/base/api/2.0/mlflow/runs/search"),
    ]
    assert dict(seen[0].url.params) == {"run_id": "a b"}
    assert json.loads(seen[1].content) == {"filter": "x"}


def test_what_is_not_there_is_none() -> None:
    missing = httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST"})

    assert asked([], missing).get("runs/get", run_id="a") is None
    assert list(asked([], missing).each("runs/search", "runs")) == []
    with pytest.raises(PipelineError, match="ENDPOINT_NOT_FOUND"):
        asked([], httpx.Response(404, json={"error_code": "ENDPOINT_NOT_FOUND"})).get("runs/get")


def test_a_page_is_asked_for_when_it_is_needed() -> None:
    seen: list[httpx.Request] = []
    pages = [{"found": [{"n": 1}, {"n": 2}], "next_page_token": "t"}, {"found": [{"n": 3}], "next_page_token": ""}]
    found = asked(seen, *(httpx.Response(200, json=page) for page in pages)).each("search", "found", filter="f")

    assert [next(found)["n"], next(found)["n"], len(seen)] == [1, 2, 1]
    assert [one["n"] for one in found] == [3]
    assert [dict(one.url.params) for one in seen] == [
        {"max_results": "1000", "filter": "f"},
        {"max_results": "1000", "filter": "f", "page_token": "t"},
    ]


def test_an_address_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(Misconfigured, match=r"'http://mlflow:port' is no address of MLflow .*: give http://host:port"):
        MlflowHttp("http://mlflow:port", {})


def test_a_password_goes_before_a_token() -> None:
    seen: list[httpx.Request] = []
    variables = {f"MLFLOW_TRACKING_{name}": "x" for name in ("USERNAME", "PASSWORD", "TOKEN")}

    asked(seen, httpx.Response(200, json={}), **variables).get("runs/get")

    assert seen[0].headers["Authorization"] == "Basic eDp4"
