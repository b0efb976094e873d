"""The table of routes, as it is asked and described."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.settings import ServingSettings
from serving.web.messages import RequestRefused
from serving.web.routing import READ, Route, Router
from tests.fakes import Client, Service


@pytest.fixture
def service(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> Service:
    return Service(settings, folder, tags)


def test_the_description_names_every_route_and_its_method(service: Service) -> None:
    described = service.client.get("/openapi.json").json()["paths"]
    routes = service.app._gateway._router.routes

    assert {path: list(told) for path, told in described.items()} == {
        route.path.replace("<name>", "{name}"): [route.method.lower()] for route in routes if route.operation
    }
    assert [route.path for route in routes if not route.operation] == ["/static/<name>"]


def test_each_route_has_one_thing_that_answers_it(service: Service) -> None:
    for route in service.app._gateway._router.routes:
        assert (route.answer is None) is (route.view is not None), route.path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/status", ("/status", "")), ("/models", ("/models", "")), ("/models/a b", ("/models/<name>", "a b")),
        ("/models/a/predict", ("/models/<name>/predict", "a")), ("/models/a/b", (None, "")), ("/models/", (None, "")),
        ("/status/", (None, "")), ("/models/<name>", ("/models/<name>", "<name>")),
        ("/static/style.css", ("/static/<name>", "style.css")), ("/static/../views.py", (None, "")), ("", (None, "")),
    ],
)  # fmt: skip
def test_a_path_leads_to_one_route(service: Service, path: str, expected: tuple[str | None, str]) -> None:
    route, name = service.app._gateway._router.find(path)

    assert (route.path if route else None, name) == expected


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS"])
def test_another_method_is_refused_with_the_one_that_is_taken(service: Service, method: str) -> None:
    for path in ("/status", "/dashboard", "/static/style.css"):
        answer = service.client.request(method, path)

        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_file_that_is_not_there_is_refused_as_all_else(service: Service) -> None:
    answer = service.client.get("/static/nothing.css")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert answer.json()["error"]["code"] == "not_found"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_who_may_not_read_is_not_told_what_there_is(service: Service) -> None:
    stranger = Client(service.app, "203.0.113.9")

    assert {stranger.get(path).status_code for path in ("/status", "/nothing", "/dashboard")} == {401}


def test_a_head_is_asked_where_a_get_is() -> None:
    route = Route("/x", READ, None)

    route.check_method("HEAD")
    with pytest.raises(RequestRefused):
        Route("/x", READ, None, method="POST").check_method("GET")
    assert Router([route]).find("/x") == (route, "")
