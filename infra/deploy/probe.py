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
from typing import Any

from ml.errors import one_line

TIMEOUT_S = 5.0
STALE_S = 45.0
"""A heartbeat that is older than this is no sign of life; Airflow writes one every 5 s."""


class NotWell(Exception):
    """The part does not do its job; the message says what is missing."""


def _get(url: str, authorization: str = "", body: Mapping[str, Any] | None = None) -> bytes:
    request = urllib.request.Request(url, data=json.dumps(body).encode() if body is not None else None)  # noqa: S310
    request.add_header("Content-Type", "application/json")
    if authorization:
        request.add_header("Authorization", authorization)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        return bytes(answer.read())


def _api_server() -> str:
    health = json.loads(_get("http://127.0.0.1:8080/api/v2/monitor/health"))
    if health["metadatabase"]["status"] != "healthy":
        raise NotWell("it does not reach its database")
    return "reaches its database"


def _scheduler() -> str:
    # It answers 503 where its own heartbeat is stale.
    _get("http://127.0.0.1:8974/health")
    return "heartbeat is fresh"


def _heartbeat(job_type: str) -> Callable[[], str]:
    def probe() -> str:
        import psycopg2

        address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
        connection = psycopg2.connect(address, connect_timeout=int(TIMEOUT_S))
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT extract(epoch FROM now() - max(latest_heartbeat)) FROM job"
                    " WHERE job_type = %s AND hostname = %s AND state = 'running'",
                    (job_type, socket.getfqdn()),
                )
                row = cursor.fetchone()
        finally:
            connection.close()
        if row is None or row[0] is None or row[0] > STALE_S:
            raise NotWell("it has no fresh heartbeat")
        return f"heartbeat {row[0]:.0f} s ago"

    return probe


def _worker() -> str:
    from celery import Celery

    # Celery's name for this container's worker; another one's answer would prove nothing about this one.
    name = f"celery@{socket.gethostname()}"
    with Celery("trackyard-probe", broker=os.environ["AIRFLOW__CELERY__BROKER_URL"]) as app:
        if not app.control.ping(destination=[name], timeout=TIMEOUT_S, limit=1):
            raise NotWell(f"{name} does not answer")
    return f"{name} answers"


def _flower() -> str:
    _get("http://127.0.0.1:5556/healthcheck")
    return "answers"


def _mlflow() -> str:
    # /health answers even where every other request is refused, so it proves nothing.
    login = base64.b64encode(f"admin:{os.environ['MLFLOW_AUTH_ADMIN_PASSWORD']}".encode()).decode()
    _get("http://127.0.0.1:5000/api/2.0/mlflow/experiments/search", f"Basic {login}", {"max_results": 1})
    return "a search works"


def _serving() -> str:
    _get("http://127.0.0.1:5555/health")
    # The stack's own token: where SERVING_TOKENS is all, not even this container is answered without one.
    _get("http://127.0.0.1:5555/status", f"Bearer {os.environ['TRACKYARD_SERVING_TOKEN']}")
    return "tells the state"


def _external_postgres() -> str:
    import psycopg2

    address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    psycopg2.connect(address, connect_timeout=int(TIMEOUT_S)).close()
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
    "airflow-dag-processor": _heartbeat("DagProcessorJob"),
    "airflow-triggerer": _heartbeat("TriggererJob"),
    "celery-worker": _worker,
    "flower": _flower,
    "mlflow": _mlflow,
    "serving": _serving,
}


def main(name: str) -> int:
    """Runs one probe.

    Returns:
        0 when the part is well; 1 when it is not, with the reason on standard output, which the engine keeps.
    """
    try:
        said = PROBES[name]()
    except Exception as error:  # noqa: BLE001 - an edge: whatever goes wrong is what the engine is to be told
        sys.stdout.write(f"{name}: {one_line(error, limit=None)}\n")
        return 1
    sys.stdout.write(f"{name}: {said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
