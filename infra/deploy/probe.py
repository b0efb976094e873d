"""The health checks of our containers: `python -m infra.deploy.probe NAME` ends with 0 when the part does its real job.

They run every few seconds, so they import neither Airflow nor MLflow: HTTP and SQL say the same. Effects: reads.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from ml.errors import Unavailable, one_line

TIMEOUT_S = 5.0
STALE_S = 45.0
"""A heartbeat that is older than this is no sign of life; Airflow writes one every 5 s."""


def _get(url: str, authorization: str = "", body: bytes | None = None) -> bytes:
    headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - the addresses below
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        return bytes(answer.read())


def _api_server() -> str:
    health = json.loads(_get("http://127.0.0.1:8080/api/v2/monitor/health"))
    if health["metadatabase"]["status"] != "healthy":
        raise Unavailable("it does not reach its database")
    # The first such question takes it seconds, which no run should wait for.
    _get("http://127.0.0.1:8080/execution/health")
    return "reaches its database, and answers tasks"


def _scheduler() -> str:
    # It answers 503 where its own heartbeat is stale.
    _get("http://127.0.0.1:8974/health")
    return "heartbeat is fresh"


def _database() -> closing[Any]:
    """A connection to Airflow's database, which is closed at the end of the block."""
    import psycopg2

    address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    return closing(psycopg2.connect(address, connect_timeout=int(TIMEOUT_S)))


def _heartbeat(job_type: str) -> str:
    with _database() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM now() - max(latest_heartbeat)) FROM job"
            " WHERE job_type = %s AND hostname = %s AND state = 'running'",
            (job_type, socket.getfqdn()),
        )
        age_s = cursor.fetchone()[0]
    if age_s is None or age_s > STALE_S:
        raise Unavailable("it has no fresh heartbeat")
    return f"heartbeat {age_s:.0f} s ago"


def _worker() -> str:
    from celery import Celery

    # Celery's name for this container's worker; another one's answer would prove nothing about this one.
    name = f"celery@{socket.gethostname()}"
    with Celery("trackyard-probe", broker=os.environ["AIRFLOW__CELERY__BROKER_URL"]) as app:
        if not app.control.ping(destination=[name], timeout=TIMEOUT_S, limit=1):
            raise Unavailable(f"{name} does not answer")
    return f"{name} answers"


def _flower() -> str:
    _get("http://127.0.0.1:5556/healthcheck")
    return "answers"


def _mlflow() -> str:
    # /health answers even where every other request is refused, so it proves nothing.
    login = base64.b64encode(f"admin:{os.environ['MLFLOW_AUTH_ADMIN_PASSWORD']}".encode()).decode()
    _get("http://127.0.0.1:5000/api/2.0/mlflow/experiments/search", f"Basic {login}", b'{"max_results": 1}')
    return "a search works"


def _serving() -> str:
    _get("http://127.0.0.1:5555/health")
    # The stack's own token: where SERVING_TOKENS is all, not even this container is answered without one.
    _get("http://127.0.0.1:5555/status", f"Bearer {os.environ['TRACKYARD_SERVING_TOKEN']}")
    return "tells the state"


def _external_postgres() -> str:
    with _database():
        return "lets Airflow in"


def _external_redis() -> str:
    import redis

    with redis.Redis.from_url(os.environ["AIRFLOW__CELERY__BROKER_URL"], socket_timeout=TIMEOUT_S) as client:
        client.ping()
    return "answers"


def _external_s3() -> str:
    from infra.deploy import bucket_job

    for account in ("MLFLOW", "WORKER"):
        bucket_job.client(os.environ, account).head_bucket(Bucket=os.environ[f"S3_{account}_BUCKET"])
    return "knows both keys"


PROBES: Mapping[str, Callable[[], str]] = {
    "external-postgres": _external_postgres,
    "external-redis": _external_redis,
    "external-s3": _external_s3,
    "airflow-api-server": _api_server,
    "airflow-scheduler": _scheduler,
    "airflow-dag-processor": lambda: _heartbeat("DagProcessorJob"),
    "airflow-triggerer": lambda: _heartbeat("TriggererJob"),
    "celery-worker": _worker,
    "flower": _flower,
    "mlflow": _mlflow,
    "serving": _serving,
}


def main(name: str) -> int:
    """Runs one probe; 0 when the part is well, else 1, with the reason on standard output, which the engine keeps."""
    code = 0
    try:
        text = PROBES[name]()
    except Exception as error:  # noqa: BLE001 - an edge: whatever goes wrong is what the engine is to be told
        code, text = 1, one_line(error, limit=None)
    sys.stdout.write(f"{name}: {text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
