"""The API's description in OpenAPI 3.1, with the fields of the live version. Pure."""

from __future__ import annotations

from typing import Any

from serving.model_copy import LiveModel
from serving.settings import ServingSettings

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "problems": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "row": {"type": ["integer", "null"]},
                            "field": {"type": ["string", "null"]},
                            "rule": {"type": "string"},
                        },
                    },
                },
            },
            "required": ["code", "message", "problems"],
        }
    },
    "required": ["error"],
}


def document(live: LiveModel | None, settings: ServingSettings) -> dict[str, Any]:
    """The description; the rows of `/predict` are those of the live version, if there is one."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trackyard",
            "version": "1",
            "description": f"The state of {settings.dag_id} and predictions of {settings.model_name}.",
        },
        "paths": {
            "/": {"get": _route("Leads to /success or /failure by the last finished run.", {"302": "To that page."})},
            "/success": {"get": _route("The last run, for people or as JSON.", _OK)},
            "/failure": {"get": _route("The last run, for people or as JSON.", _OK)},
            "/dashboard": {"get": _route("Runs, tasks and versions, for people or as JSON.", _OK)},
            "/health": {"get": _route("Answers ok while the process lives.", _OK)},
            "/ready": {"get": _route("Whether a model is loaded.", {**_OK, "503": "No model yet."})},
            "/status": {"get": _route("What is known of the pipeline and the model.", _OK)},
            "/predict": {"post": _predict(live, settings)},
            "/openapi.json": {"get": _route("This description.", _OK)},
            "/docs": {"get": _route("This description for people.", _OK)},
            "/metrics": {"get": _route("Prometheus metrics.", _OK)},
        },
        "components": {"schemas": {"Error": _ERROR, "Row": _row(live)}},
    }


_OK = {"200": "The answer."}


def _route(summary: str, answers: dict[str, str]) -> dict[str, Any]:
    return {"summary": summary, "responses": {code: {"description": text} for code, text in answers.items()}}


def _row(live: LiveModel | None) -> dict[str, Any]:
    inputs = live.loaded.inputs if live else {}
    kinds = {"string": {"type": ["string", "null"]}}
    return {
        "type": "object",
        "properties": {name: kinds.get(kind, {"type": "number"}) for name, kind in inputs.items()},
        "required": list(inputs),
        "additionalProperties": True,
    }


def _predict(live: LiveModel | None, settings: ServingSettings) -> dict[str, Any]:
    wrong = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refusals = {
        "400": "The body cannot be read.",
        "413": f"More than {settings.max_rows} rows or {settings.max_body_bytes} bytes.",
        "415": "Neither JSON nor CSV.",
        "422": "A row is not what the model takes.",
        "503": "No model is live yet.",
    }
    rows = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Row"},
        "minItems": 1,
        "maxItems": settings.max_rows,
    }
    body: dict[str, Any] = {"schema": {"type": "object", "properties": {"rows": rows}, "required": ["rows"]}}
    if live:
        body["example"] = {"rows": live.loaded.input_example[:1]}
    answer = {
        "type": "object",
        "properties": {
            "model": {"type": "object", "properties": {"name": {"type": "string"}, "version": {"type": "string"}}},
            "predictions": {"type": "array", "items": {"type": "integer", "enum": [0, 1]}},
            "probabilities": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}},
            "ignored_fields": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["model", "predictions", "probabilities"],
    }
    return {
        "summary": "Predicts rows with the live version.",
        "requestBody": {
            "required": True,
            "content": {"application/json": body, "text/csv": {"schema": {"type": "string"}}},
        },
        "responses": {
            "200": {"description": "The predictions.", "content": {"application/json": {"schema": answer}}},
            **{code: {"description": text, "content": wrong} for code, text in refusals.items()},
        },
    }
