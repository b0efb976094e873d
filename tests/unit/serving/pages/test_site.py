"""Flask's answers as the service gives them."""

from __future__ import annotations

from typing import Any

import pytest

from serving.web.messages import Answer, RequestRefused
from tests.fakes import Service, scope_of, wait_for_answer


def test_a_file_that_is_not_there_is_refused_as_all_else(service: Service) -> None:
    answer = service.client.get("/static/nothing.css")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert answer.json()["error"]["code"] == "not_found"
    assert answer.headers["x-content-type-options"] == "nosniff"


def answered(service: Service, scope: dict[str, Any]) -> Answer:
    """What Flask makes of a request that was let in."""
    found: Answer = wait_for_answer(service.app._pages.answer(scope))
    return found


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/health", 404, "not_found"), ("GET", "/x", 404, "not_found"), ("DELETE", "/", 405, "method_not_allowed")],
    ids=["without a view", "unknown", "method"],
)
def test_what_flask_refuses_is_refused_as_all_else(
    service: Service, method: str, path: str, status: int, code: str
) -> None:
    with pytest.raises(RequestRefused) as caught:
        answered(service, scope_of(method, path))

    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.message


def test_an_answer_has_its_kind_once_and_its_own_headers(service: Service) -> None:
    found = answered(service, scope_of("GET", "/"))

    assert (found.status, found.kind) == (302, "text/html; charset=utf-8")
    assert ("Location", "/failure") in found.headers
    assert {name for name, _ in found.headers}.isdisjoint({"Content-Type", "Content-Length", "Date"})
    assert b"/failure" in found.body
