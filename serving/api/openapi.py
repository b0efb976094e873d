"""The API's description in OpenAPI 3.1, with the fields of the live version. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ml.values import Column
from serving.api.parsing import PARQUET
from serving.models.cache import LiveModel
from serving.settings import ServingSettings
from serving.web.routing import NAME, Operation, Route

_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {**_OBJECT, "properties": properties, "required": list(properties)}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_PROBLEM = _object(row={"type": ["integer", "null"]}, field={"type": ["string", "null"]}, rule=_TEXT)
_ERROR = _object(error=_object(code=_TEXT, message=_TEXT, problems=_list(_PROBLEM)))
_ANSWER = {
    **_object(
        model=_object(name=_TEXT, version=_TEXT),
        predictions=_list({"type": "integer", "enum": [0, 1]}),
        probabilities=_list(_SHARE),
        threshold=_SHARE,
        explanation=_object(base={"type": "number"}, contributions=_list(_OBJECT)),
        ignored_fields=_list(_TEXT),
    ),
    "required": ["model", "predictions", "probabilities", "threshold"],
}
ANY = {"application/json": {"schema": _OBJECT}}
PAGE = {"text/html": {"schema": _TEXT}, **ANY}
TEXT = {"text/plain": {"schema": _TEXT}}
_FAULT = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_REFUSALS = {
    "400": "The request cannot be read, or its host name is not served.",
    "401": "A token is needed.",
    "403": "The token does not allow this.",
    "429": "Too many requests.",
    "431": "The headers are too many or too large.",
}
_NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "A registered model.",
    "schema": {"type": "string", "minLength": 1, "pattern": "^[^/]+$"},
}


def document(routes: Iterable[Route], live: LiveModel | None, settings: ServingSettings) -> dict[str, Any]:
    """The description; the rows of `/predict` are those of the live version, if there is one."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.operation is not None:
            paths[route.path.replace(NAME, "{name}")] = {route.method.lower(): route.operation(live, settings)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trackyard",
            "version": "1",
            "description": f"The state of {settings.dag_id} and predictions of {settings.model_name}.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Error": _ERROR,
                "Row": _row(live),
                "Body": _body(settings, {"$ref": "#/components/schemas/Row"}),
                "AnyBody": _body(settings, _OBJECT),
                "Answer": _ANSWER,
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


_OK = {"200": "The answer."}
_OPTIONS = [
    {"name": "threshold", "in": "query", "description": "The probability above which the prediction is 1.",
     "schema": _SHARE},
    {"name": "explain", "in": "query", "description": "Whether to tell what each column adds to the log-odds.",
     "schema": {"type": "boolean"}},
]  # fmt: skip


def _responses(answers: Mapping[str, str], content: dict[str, Any], refusals: Mapping[str, str]) -> dict[str, Any]:
    contents = dict.fromkeys(answers, content)
    texts = {**answers, **_REFUSALS, **refusals}
    return {code: {"description": text, "content": contents.get(code, _FAULT)} for code, text in texts.items()}


def get(summary: str, content: dict[str, Any], answers: Mapping[str, str] = _OK, *, named: bool = False) -> Operation:
    """The operation of a route that tells something, in the content types `ANY`, `PAGE` or `TEXT`.

    `answers` has what each status means; with `named` a model's name is in the path.
    """
    responses = _responses(answers, content, {"404": "There is nothing of that name."})
    operation = {"summary": summary, "responses": responses, **({"parameters": [_NAME]} if named else {})}
    return lambda live, settings: operation


def post(summary: str, status: str) -> Operation:
    """The operation of a route that takes something and answers with one status."""
    refusals = {"404": "None are taken here.", "408": "The body is too slow.", "409": "It came before.",
                "413": "The body is too large."}  # fmt: skip
    responses = _responses({status: "It was taken."}, ANY, refusals)
    if status == "204":
        responses["204"] = {"description": "It was taken."}
    return lambda live, settings: {"summary": summary, "responses": responses}


def _row(live: LiveModel | None) -> dict[str, Any]:
    readings = live.loaded.readings if live else []
    nullable = live.predictor.nullable if live else frozenset()
    return {
        "type": "object",
        "properties": {each.name: _cell(each, nullable=each.name in nullable) for each in readings},
        "required": [each.name for each in readings],
        "additionalProperties": True,
    }


def _cell(column: Column, *, nullable: bool) -> dict[str, Any]:
    if not column.is_numeric:
        return {"type": ["string", "number", "boolean", "null"], "maxLength": 1000}
    # A number may stand there as text, as it does in a file.
    text = r"^[+-]?[0-9]{1,90}(\.[0-9]{1,20})?$"
    none = ["null"] if nullable else []
    if column.type == "boolean":
        return {"type": ["boolean", "number", *none], "minimum": 0, "maximum": 1}
    types = ["number", "string", *none]
    return {"type": types, "minimum": -1e100, "maximum": 1e100, "pattern": text}


def _body(settings: ServingSettings, row: dict[str, Any]) -> dict[str, Any]:
    rows = {**_list(row), "minItems": 1, "maxItems": settings.max_rows}
    options = {"threshold": _SHARE, "explain": {"type": "boolean"}}
    split = _object(columns=_list(_TEXT), data=_list({"type": "array"}))
    columns = {**_OBJECT, "additionalProperties": {"type": "array"}}
    shapes = {"rows": rows, "columns": columns, "dataframe_split": split, "dataframe_records": rows}
    return {
        "anyOf": [
            {**_OBJECT, "properties": {name: shape, **options}, "required": [name]} for name, shape in shapes.items()
        ]
    }


def predict(live: LiveModel | None, settings: ServingSettings) -> dict[str, Any]:
    """The operation of `/predict`, whose rows are those of the live version."""
    example = {"example": {"rows": live.loaded.input_example[:1]}} if live else {}
    return {**_predict(settings, "Body", example), "parameters": _OPTIONS}


def predict_by_name(live: LiveModel | None, settings: ServingSettings) -> dict[str, Any]:
    """The operation of any model's `/predict`."""
    return {**_predict(settings, "AnyBody", {}), "parameters": [_NAME, *_OPTIONS]}


def _predict(settings: ServingSettings, body: str, example: dict[str, Any]) -> dict[str, Any]:
    refusals = {
        "404": "No such model is served.",
        "408": "The body did not arrive in time.",
        "413": f"More than {settings.max_rows} rows or {settings.max_body_bytes} bytes.",
        "415": "Neither JSON nor CSV nor Parquet.",
        "422": "A row is not what the model takes.",
        "503": "No model is live yet, or too much is waiting: `Retry-After` says when to come back.",
    }
    binary = {"schema": {**_TEXT, "contentMediaType": PARQUET[0]}}
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}
    return {
        "summary": "Predicts rows with the live version.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{body}"}, **example},
                "text/csv": {"schema": _TEXT},
                PARQUET[0]: binary,
            },
        },
        "responses": _responses({"200": "The predictions."}, answer, refusals),
    }
