#!/usr/bin/env bash
# Airflow's API server is ready before it can answer a task: the first one waits until that API has been built.
#
# Surprise: the execution API, which tasks speak to, is an application of its own inside the API server, with one set of
# routes for each of its versions. They are made neither when the server starts nor when that application's lifespan
# begins, but by the first request to it, whatever it asks: a health question takes two thousand times as long as the
# next one. The work is done in the event loop, so that whoever else asks this process meanwhile waits as long.
# Where it bites: the first task after each start or rollout of the API server is seconds late. A probe of
# /api/v2/monitor/health is answered before that, so that the server counts as ready, and stays without an answer during
# it, which a probe with a short limit takes for a hang.
# Instead: let readiness ask GET /execution/health as well: it needs no login, and the first question does the building.
#
# Seen on 2026-11-28 (Python 3.11.7, apache-airflow-core 3.3.2, cadwyn 7.0.0): 3.55 s, then 1.8 ms and 1.7 ms; the event
# loop stood still for 3.55 s. On the same machine with both its processors busy it was 21 s.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet apache-airflow-core==3.3.2 apache-airflow-task-sdk==1.3.2 cadwyn==7.0.0
export AIRFLOW_HOME="$folder/airflow" AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR PYTHONWARNINGS=ignore
AIRFLOW__API_AUTH__JWT_SECRET=$(head -c 48 /dev/urandom | base64)
export AIRFLOW__API_AUTH__JWT_SECRET
venv/bin/python - <<'PY'
import asyncio
import platform
import sys
import time
from importlib.metadata import version

import httpx
from airflow.api_fastapi.execution_api.app import create_task_execution_api_app

print(f"Python {platform.python_version()}, apache-airflow-core {version('apache-airflow-core')}, "
      f"cadwyn {version('cadwyn')}")


async def longest_pause(stop):
    """The longest time, in seconds, for which the event loop did nothing for others."""
    longest, last = 0.0, time.perf_counter()
    while not stop.is_set():
        await asyncio.sleep(0.005)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


async def ask():
    """The seconds that each of three questions took, and the longest pause of the event loop meanwhile."""
    app = create_task_execution_api_app()
    async with app.router.lifespan_context(app):  # as the server does when it starts
        stop = asyncio.Event()
        pause = asyncio.create_task(longest_pause(stop))
        await asyncio.sleep(0.05)
        taken = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as client:
            for _ in range(3):
                began = time.perf_counter()
                answer = await client.get("/health")
                taken.append(time.perf_counter() - began)
                if answer.json() != {"status": "healthy"}:
                    sys.exit(f"an unexpected answer: {answer.text}")
        stop.set()
        return taken, await pause


(first, second, third), pause = asyncio.run(ask())
print(f"GET /health of the execution API: {first:.2f} s, then {second * 1000:.1f} ms and {third * 1000:.1f} ms; "
      f"the event loop stood still for {pause:.2f} s")
if first < 50 * max(second, third) or pause < 0.9 * first:
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
