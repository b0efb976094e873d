"""A path leads to one route, which is asked in one way."""

from __future__ import annotations

import pytest

from serving.web.messages import RequestRefused
from serving.web.routing import READ, Route, Router
from tests.fakes import Service


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


def test_a_head_is_asked_where_a_get_is() -> None:
    route = Route("/x", READ, None)

    route.check_method("HEAD")
    with pytest.raises(RequestRefused):
        Route("/x", READ, None, method="POST").check_method("GET")
    assert Router([route]).find("/x") == (route, "")


def test_a_path_is_no_pattern_and_goes_before_one() -> None:
    named, exact = Route("/v1.0/<name>/x", READ, None), Route("/v1.0/all/x", READ, None)
    router = Router([named, exact])

    assert router.find("/v1.0/all/x") == (exact, "")
    assert router.find("/v1.0/a.b/x") == (named, "a.b")
    assert router.find("/v1_0/a/x") == (None, "")
    assert router.find("/v1.0//x") == (None, "")


def test_a_refused_method_is_told_what_is_taken() -> None:
    with pytest.raises(RequestRefused, match=r"^/x is asked by POST$") as caught:
        Route("/x", READ, None, method="POST").check_method("HEAD")

    assert caught.value.headers == (("Allow", "POST"),)
