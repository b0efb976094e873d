#!/usr/bin/env bash
# Airflow takes a DAG run id that is too long for the folder of its own logs.
#
# Surprise: the database has room for a run id of 250 characters and Airflow accepts it. The folder of the task logs is
# named "run_id=" plus the id: 257 characters, and a file name on Linux has 255 bytes at most. Airflow warns that it
# "will continue", and then the log file cannot be opened, which a task's supervisor does (by its code) before it starts
# the task.
# Where it bites: run ids that are put together from a data set, a date, a branch and a parameter hash. The run is made
# and looks fine until its first task, which has nowhere to write: the log that would say why is what cannot be opened.
# Instead: keep run ids to 248 characters (better: short ids, with the details in the run's conf or note), or shorten
# [logging] log_filename_template.
#
# Seen on 2026-11-27 (Python 3.11.7, apache-airflow-core 3.3.2, task SDK 1.3.2): an id of 248 characters has a log
# file; one of 250 is taken for a DagRun, its folder has 257 characters, and opening the file fails with "File name too
# long". The template, the folder and the file are made by Airflow's own functions; no scheduler or worker is run here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet apache-airflow-core==3.3.2 apache-airflow-task-sdk==1.3.2
export AIRFLOW_HOME="$folder/airflow" AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR
venv/bin/python - <<'PY'
import errno
import platform
import sys
from importlib.metadata import version
from types import SimpleNamespace

from airflow.models.dagrun import DagRun
from airflow.sdk.log import init_log_file
from airflow.utils.helpers import log_filename_template_renderer

print(f"Python {platform.python_version()}, apache-airflow-core {version('apache-airflow-core')}, "
      f"apache-airflow-task-sdk {version('apache-airflow-task-sdk')}")


def try_log_of(length):
    """The length of the run's folder name and what opening the first task's log gives."""
    run = DagRun(dag_id="train", run_id="nightly__".ljust(length, "x"))  # refuses an id that is not valid
    task = SimpleNamespace(dag_id=run.dag_id, run_id=run.run_id, task_id="fit", map_index=-1, try_number=1)
    path = log_filename_template_renderer()(ti=task)
    try:
        with init_log_file(path).open("ab"):  # as a task's supervisor does
            result = "opened"
    except OSError as error:
        result = errno.errorcode[error.errno]
    return len(path.split("/")[1]), result


room = DagRun.__table__.c.run_id.type.length
print(f"characters of a run id that the database has room for: {room}")
seen = {length: try_log_of(length) for length in (248, room)}
for length, (folder, result) in seen.items():
    print(f"run id of {length}: log folder of {folder} characters, log file: {result}")
if room != 250 or seen != {248: (255, "opened"), 250: (257, "ENAMETOOLONG")}:
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
