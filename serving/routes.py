"""Every address of the service, in one table: dispatch, tokens, what is answered at once and OpenAPI follow from it."""

from __future__ import annotations

from serving.api import openapi
from serving.api.handlers import Api
from serving.api.openapi import ANY, PAGE, TEXT, get, post
from serving.pages import views
from serving.web.access_log import AccessLog
from serving.web.messages import Answer
from serving.web.routing import OPEN, OPERATE, PREDICT, READ, WEBHOOK, Route

_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def table(api: Api, access_log: AccessLog) -> tuple[Route, ...]:
    """The routes: `api` answers programs, `access_log` counts what Prometheus is told."""
    routes = (
        Route("/", READ, get("Leads to the page of how the last run ended.", PAGE, {"302": "To that page."}),
              view=views.index),
        Route("/success", READ, get("The last run, for people or as JSON.", PAGE), view=views.success),
        Route("/failure", READ, get("The last run, for people or as JSON.", PAGE), view=views.failure),
        Route("/dashboard", READ, get("Runs, tasks and versions, for people or as JSON.", PAGE), view=views.dashboard),
        Route("/health", OPEN, get("Answers ok while the process lives.", TEXT), api.health, is_quick=True),
        Route("/ready", OPEN, get("Whether a model is loaded; readers are told more.", ANY,
                                  {"200": "The answer.", "503": "No model yet."}), api.ready),
        Route("/status", READ, get("What is known of the pipeline and the models.", ANY), api.status, is_quick=True),
        Route("/models", READ, get("The models that are served.", ANY), api.models),
        Route("/models/<name>", READ, get("A model's signature, example, metrics and aliases.", ANY, named=True),
              api.model),
        Route("/models/<name>/predict", PREDICT, openapi.predict_by_name, api.predict, method="POST",
              is_quick=True),
        Route("/predict", PREDICT, openapi.predict, api.predict, method="POST", is_quick=True),
        Route("/refresh", OPERATE, post("Asks MLflow at once; needs a token that allows `operate`.", "202"),
              api.refresh, method="POST"),
        Route("/webhooks/mlflow", WEBHOOK, post("Takes MLflow's signed webhooks.", "204"), api.webhook, method="POST"),
        Route("/openapi.json", READ, get("This description.", ANY), lambda request: api.describe(routes)),
        Route("/docs", READ, get("This description for people.", PAGE), view=views.docs),
        Route("/metrics", READ, get("Prometheus metrics.", TEXT),
              lambda request: Answer(200, access_log.metrics(), _METRICS)),
        Route("/static/<name>", READ, None, view=views.static),
    )  # fmt: skip
    return routes
