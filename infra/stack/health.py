"""Whether a part does its real job: a query, an object written and read back, a search, a heartbeat, a greeting.

Each check says in a few words what it saw, and raises whatever keeps it from that.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING

from infra.servers import object_store, redis_server, tracking_server
from infra.servers.postgres import superuser_url
from infra.settings import HOST
from infra.stack.plan import FLOWER_USER, Plan

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 5.0


class NotReady(Exception):
    """The part does not do its job yet; the message says what is missing."""


@cache
def http() -> httpx.Client:
    """The client of every look: making one reads all certificates of the machine, which takes longer than a look."""
    import httpx

    # A connection of its own for each: a server that was restarted meanwhile has forgotten the last one.
    return httpx.Client(timeout=TIMEOUT_S, limits=httpx.Limits(max_keepalive_connections=0))


def _get(plan: Plan, name: str, path: str) -> httpx.Response:
    return http().get(plan.url(name) + path)


def postgres(plan: Plan) -> str:
    """A query."""
    import psycopg2

    url = superuser_url(plan.ports["postgres"], plan.credentials)
    with closing(psycopg2.connect(url, connect_timeout=int(TIMEOUT_S))) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        row = cursor.fetchone()
        return f"PostgreSQL {row[0]}" if row else "PostgreSQL"


def redis(plan: Plan) -> str:
    """A ping."""
    from redis import Redis

    url = redis_server.url(plan.ports["redis"], plan.credentials)
    with Redis.from_url(url, socket_timeout=TIMEOUT_S) as client:
        if not client.ping():
            raise NotReady("PING was not answered")
        return f"Redis {client.info('server')['redis_version']}"


def s3(plan: Plan) -> str:
    """An object written to each bucket, read back and deleted."""
    from botocore.exceptions import ClientError

    client = object_store.client(plan.ports["s3"], plan.credentials)
    for bucket in object_store.BUCKETS:
        try:
            came_back = object_store.try_bucket(client, bucket)
        except client.exceptions.NoSuchBucket as error:
            raise NotReady(
                f"bucket {bucket!r} is gone: 'trackyard up' makes it again, "
                "'trackyard restore' brings back what was in it"
            ) from error
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise NotReady(f"bucket {bucket!r} takes no object ({code}): is the disk full?") from error
        if not came_back:
            raise NotReady(f"an object came back changed from bucket {bucket!r}")
    return "put, get and delete work in both buckets"


def smtp(plan: Plan) -> str:
    """A greeting."""
    with smtplib.SMTP(HOST, plan.ports["smtp"], timeout=TIMEOUT_S) as server:
        code, _ = server.ehlo()
        if code != 250:
            raise NotReady(f"EHLO was answered with {code}")
    return "EHLO is answered"


def mlflow(plan: Plan) -> str:
    """A search."""
    # /health answers even where every other request is refused, so it proves nothing.
    answer = http().post(
        plan.url("mlflow") + "/api/2.0/mlflow/experiments/search",
        json={"max_results": 1},
        auth=(tracking_server.ADMIN, plan.credentials.mlflow_admin_password),
    )
    answer.raise_for_status()
    return "a search works"


def heartbeat(component: str) -> Callable[[Plan], str]:
    """A fresh heartbeat of one of Airflow's components, as its API server tells it."""

    def probe(plan: Plan) -> str:
        status = _get(plan, "airflow", "/api/v2/monitor/health").raise_for_status().json()[component]["status"]
        if status != "healthy":
            raise NotReady(f"its heartbeat is {status or 'missing'}")
        return "heartbeat is fresh"

    return probe


def api_server(plan: Plan) -> str:
    """Its database, and an answer to tasks: the first such question takes it seconds, which no run should wait for."""
    heartbeat("metadatabase")(plan)
    _get(plan, "airflow", "/execution/health").raise_for_status()
    return "reaches its database, and answers tasks"


def celery(plan: Plan) -> str:
    """A ping that a worker answers."""
    from celery import Celery

    url = redis_server.url(plan.ports["redis"], plan.credentials)
    with Celery("trackyard-health", broker=url) as app:
        answers = app.control.ping(timeout=1.0, limit=1)
    if not answers:
        raise NotReady("no worker answers a ping")
    return "a worker answers"


def flower(plan: Plan) -> str:
    """An answer, and none behind the login to somebody without one."""
    _get(plan, "flower", "/healthcheck").raise_for_status()
    closed = _get(plan, "flower", "/workers")
    if closed.status_code != 401:
        raise NotReady(f"its pages are open ({closed.status_code} without a login as {FLOWER_USER})")
    return "answers, behind its login"


def serving(plan: Plan) -> str:
    """An answer, and whether a model is loaded."""
    _get(plan, "serving", "/health").raise_for_status()
    ready = _get(plan, "serving", "/ready")
    return "a model is loaded" if ready.status_code == 200 else "no model yet"
