#!/usr/bin/env bash
# MLflow's client asks for the registered model before each write to the registry: a tag costs two requests, not one.
#
# Surprise: prompts are registered models with a tag, so before MlflowClient sets or deletes a tag or an alias, or changes
# a version, it fetches the whole registered model, only to refuse one that is a prompt. The answer is kept nowhere: ten
# tags of one version are twenty requests, one after the other.
# Where it bites: a pipeline that notes a few facts with each version and moves an alias waits for twice the round trips
# that its code shows, and each fetch reads the model with its latest versions.
# Instead: give `create_model_version` the tags that are known by then (one request, and none asks first); write the rest
# as one tag that holds several facts.
#
# Seen on 2026-11-28 (Python 3.11.7, MLflow 3.17.2): four tags, then an alias, of one version are 10 requests, of which 5
# are `GET registered-models/get`; the same four tags given when the version is made are 1.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; wait 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet mlflow==3.17.2
port=$(venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
venv/bin/mlflow server --backend-store-uri sqlite:///store.db --artifacts-destination "$folder/artifacts" \
    --host 127.0.0.1 --port "$port" --workers 1 >server.log 2>&1 &
server=$!

env -u MLFLOW_REGISTRY_URI venv/bin/python - "http://127.0.0.1:$port" <<'PY'
import platform
import re
import sys
import time
import urllib.request
from pathlib import Path

import mlflow
from mlflow import MlflowClient

address = sys.argv[1]
for _ in range(600):
    try:
        urllib.request.urlopen(f"{address}/health", timeout=5)
        break
    except OSError:
        time.sleep(0.2)
print(f"Python {platform.python_version()}, MLflow {mlflow.__version__}")


def requests():
    """What the server says that it was asked for, in order."""
    return re.findall(r'"(GET|POST|PATCH|DELETE) /api/2.0/mlflow/([^ ?"]+)', Path("server.log").read_text())


def asked(write):
    """The requests of one piece of work, once the server's log has stood still."""
    before = len(requests())
    write()
    seen = -1
    while seen != len(requests()):
        seen = len(requests())
        time.sleep(1)
    return requests()[before:]


def tag_and_alias():
    for number in range(4):
        client.set_model_version_tag("model", "1", f"fact.{number}", "value")
    client.set_registered_model_alias("model", "champion", "1")


client = MlflowClient(address, registry_uri=address)
client.create_registered_model("model")
client.create_model_version("model", "s3://bucket/model")
later = asked(tag_and_alias)
tags = {f"fact.{number}": "value" for number in range(4)}
with_it = asked(lambda: client.create_model_version("model", "s3://bucket/model", tags=tags))

first = later.count(("GET", "registered-models/get"))
print(f"four tags and an alias: {len(later)} requests, {first} of them GET registered-models/get")
print(f"a version made with four tags: {len(with_it)} request")
if (len(later), first, len(with_it)) != (10, 5, 1):
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
