#!/usr/bin/env bash
# MLflow's server, asked in one's own process, moves that process's registry to the server's store.
#
# Surprise: the first question about models to `mlflow.server.app` (the WSGI application, as a test client or one that
# mounts it beside other things asks it) calls `set_registry_uri` with the server's own store: for the whole process, and
# for its children through the variable MLFLOW_REGISTRY_URI. Every MlflowClient that is made afterwards, for whatever
# tracking address, registers its models there; runs and experiments go on to where the tracking address says. Closing
# the application changes nothing, and neither does `mlflow.set_tracking_uri`.
# Where it bites: tests that ask the server in process leave the next test's client writing into the first one's store,
# which may be gone ("attempt to write a readonly database"); a service that mounts it registers models elsewhere than
# it logs them.
# Instead: run the server as a process of its own; or give each client its `registry_uri=` by name.
#
# Seen on 2026-11-27 (Python 3.11.7, MLflow 3.17.2): `before` is registered in the client's own store, `after` in the
# server's, though both clients were made for the same tracking address; one with `registry_uri=` stays where it is.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet mlflow==3.17.2
env -u MLFLOW_REGISTRY_URI venv/bin/python - <<'PY' 2>/dev/null
import os
import platform
import sys

import mlflow
from mlflow import MlflowClient

mlflow.set_tracking_uri("sqlite:///own.db")
os.environ["_MLFLOW_SERVER_FILE_STORE"] = "sqlite:///servers.db"
from mlflow.server import app

print(f"Python {platform.python_version()}, MLflow {mlflow.__version__}")


def names(store):
    found = MlflowClient(store, registry_uri=store).search_registered_models()
    return [model.name for model in found]


MlflowClient().create_registered_model("before")
status = app.test_client().get("/api/2.0/mlflow/registered-models/search").status_code
MlflowClient().create_registered_model("after")
mlflow.set_tracking_uri("sqlite:///own.db")
MlflowClient(registry_uri="sqlite:///own.db").create_registered_model("by name")

own, servers, told = names("sqlite:///own.db"), names("sqlite:///servers.db"), os.environ.get("MLFLOW_REGISTRY_URI")
print(f"the server answered {status}; MLFLOW_REGISTRY_URI is {told}")
print(f"models in the client's own store: {own}; in the server's: {servers}")
if (status, own, servers, told) != (200, ["before", "by name"], ["after"], "sqlite:///servers.db"):
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
