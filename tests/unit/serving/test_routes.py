"""The table of routes, as it is asked and described."""

from __future__ import annotations

import pytest

from tests.fakes import Service


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


ROUTES = ("/success", "/failure", "/dashboard", "/health", "/ready", "/status", "/openapi.json", "/docs", "/metrics")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("known", [True, False])
def test_no_route_fails_whatever_is_known(service: Service, route: str, known: bool) -> None:
    if known:
        service.airflow.add("run_1", "success")
        service.registry.aliases_now = {"champion": "7"}
        service.refresh()

    answer = service.client.get(route)

    assert answer.status_code == (503 if route == "/ready" and not known else 200)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
