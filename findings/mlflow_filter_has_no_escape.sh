#!/usr/bin/env bash
# MLflow's search filters read a quoted name in two ways: `=` knows no escape, `IN` reads it as Python does.
#
# Surprise: in `name = '...'` there is no way to write an apostrophe: as it is, it is refused; doubled as in SQL or with
# a backslash, the filter is taken and finds nothing. In `name = "..."` an apostrophe is fine, but then no double quote
# is. `name IN (...)` takes the list for Python text: there `repr(name)` is right for every name, while a plain
# backslash, right after `=`, means something else.
# Where it bites: f"name = '{name}'" is in most examples. One registered model called "o'brien" (MLflow accepts the
# name) makes a loop over all models fail at that one, and an "escaped" filter says that the model does not exist, so a
# job may register or promote something anew.
# Instead: f"name IN ({name!r})" in search_registered_models, or, for one model, get_registered_model(name).
#
# Seen on 2026-11-27 (Python 3.11.7, MLflow 3.17.2, SQLite): as the table printed below is judged.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet mlflow==3.17.2
venv/bin/python - <<'PY'
import logging
import platform
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

logging.disable(logging.INFO)  # the log of the database's creation
client = MlflowClient("sqlite:///mlflow.db", "sqlite:///mlflow.db")
print(f"Python {platform.python_version()}, MLflow {mlflow.__version__}")

APOSTROPHE, BOTH, BACKSLASH = "o'brien", "o'brien \"v2\"", r"team\new"
for name in (APOSTROPHE, BOTH, BACKSLASH):
    client.create_registered_model(name)


def ask(query):
    try:
        found = [model.name for model in client.search_registered_models(query)]
    except MlflowException:
        return "refused"
    return "found" if found else "nothing"


cases = [
    (r"""name = 'o'brien'""", "refused"),
    (r"""name = 'o''brien'""", "nothing"),
    (r"""name = 'o\'brien'""", "nothing"),
    (r'''name = "o'brien"''', "found"),
    (r'''name = "o'brien \"v2\""''', "nothing"),
    (r'''name = 'o\'brien "v2"' ''', "nothing"),
    (r"""name = 'team\new'""", "found"),
    (r"""name IN ('team\new')""", "nothing"),
    (f"name IN ({APOSTROPHE!r})", "found"),
    (f"name IN ({BOTH!r})", "found"),
    (f"name IN ({BACKSLASH!r})", "found"),
]
holds = True
for query, expected in cases:
    got = ask(query)
    print(f"{query:32}{got}")
    holds = holds and got == expected
if not holds:
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
