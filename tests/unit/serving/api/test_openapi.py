"""The description says what the service does, and what the live version takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ml.registry.loading import LoadedModel, load_folder
from ml.values import Column
from serving.api import openapi
from serving.api.openapi import ANY, document, get, post
from serving.models.cache import LiveModel
from serving.models.predictor import Predictor
from serving.models.repository import ModelRepository
from serving.server import Server
from serving.settings import ServingSettings
from serving.web.routing import READ, Route
from tests.fakes import Client, Service, service_of

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_the_example_of_the_description_can_be_sent(
    service: Service, folder: Path, tags: dict[str, str], model: LoadedModel
) -> None:
    service.registry.aliases_now = {"champion": "7"}
    service.refresh()
    document = service.client.get("/openapi.json").json()

    example = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]

    assert service.client.post("/predict", json=example).status_code == 200
    assert load_folder(folder, name="a", version="1", run_id="", tags=tags).inputs == model.inputs


@pytest.fixture
def described(settings: ServingSettings, repository: ModelRepository) -> Server:
    # The tool's client has no address.
    # Nor a host name that is served.
    return service_of(replace(settings, token_required_for="none", allowed_hosts=("*",)), repository)


def test_the_service_does_what_its_description_says(described: Server) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", described)
    asked: set[str] = set()

    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @hypothesis_settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def check(case: schemathesis.Case) -> None:
            # What the signature asks of a row is more than a schema can say, so a good body may still get a 422.
            case.call_and_validate(checks=CHECKS)

        check()
        asked.add(operation.path)

    # The tool leaves out the address that it read the description from.
    assert asked == set(Client(described).get("/openapi.json").json()["paths"]) - {"/openapi.json"}


ROUTES = (
    Route("/models/<name>", READ, get("Tells.", ANY, named=True)),
    Route("/predict", READ, openapi.predict, method="POST"),
    Route("/taken", READ, post("Takes.", "204"), method="POST"),
    Route("/hidden", READ, None),
)


def rows_of(live: LiveModel | None, settings: ServingSettings) -> dict[str, Any]:
    found: dict[str, Any] = document(ROUTES, live, settings)["components"]["schemas"]
    return found


def test_each_route_that_is_described_has_its_path_and_method(settings: ServingSettings) -> None:
    paths = document(ROUTES, None, settings)["paths"]

    assert {path: list(told) for path, told in paths.items()} == {
        "/models/{name}": ["get"], "/predict": ["post"], "/taken": ["post"],
    }  # fmt: skip
    assert [one["name"] for one in paths["/models/{name}"]["get"]["parameters"]] == ["name"]
    # What has no body is not said to have one.
    assert "content" not in paths["/taken"]["post"]["responses"]["204"]
    assert paths["/taken"]["post"]["responses"]["409"]["content"]


def test_a_row_has_the_columns_of_the_live_version(model: LoadedModel, settings: ServingSettings) -> None:
    inputs = {"spend": "double", "sold": "double", "town": "string"}
    columns = {
        "spend": Column("spend", "number"),
        "sold": Column("sold", "boolean"),
        "town": Column("town", "category"),
    }
    loaded = replace(model, inputs=inputs, columns=columns)
    live = LiveModel.now(Predictor(loaded, None, frozenset({"spend"})), {})

    row = rows_of(live, settings)["Row"]

    assert row["required"] == ["spend", "sold", "town"]
    assert {name: cell["type"] for name, cell in row["properties"].items()} == {
        "spend": ["number", "string", "null"],
        "sold": ["boolean", "number"],
        "town": ["string", "number", "boolean", "null"],
    }
    assert rows_of(None, settings)["Row"]["properties"] == {}


def test_a_body_is_one_of_four_shapes_under_the_limit(settings: ServingSettings) -> None:
    shapes = rows_of(None, replace(settings, max_rows=12))["Body"]["anyOf"]

    assert [shape["required"] for shape in shapes] == [
        ["rows"], ["columns"], ["dataframe_split"], ["dataframe_records"],
    ]  # fmt: skip
    assert [shapes[at]["properties"][name]["maxItems"] for at, name in ((0, "rows"), (3, "dataframe_records"))] == [
        12, 12,
    ]  # fmt: skip


def test_an_example_is_shown_where_a_version_is_live(model: LoadedModel, settings: ServingSettings) -> None:
    live = LiveModel.now(Predictor(model, None, frozenset()), {})
    kinds = [openapi.predict(one, settings)["requestBody"]["content"]["application/json"] for one in (live, None)]

    assert kinds[0]["example"] == {"rows": model.input_example[:1]}
    assert "example" not in kinds[1]
