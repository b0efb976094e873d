"""Runs the service: `python -m serving --host HOST --port PORT`, its settings from the environment."""

from __future__ import annotations

import argparse
import os
from tempfile import TemporaryDirectory

import uvicorn

from ml.errors import Misconfigured
from serving.app import WORKER_OF
from serving.settings import METRICS_DIR
from serving.web.protocol import LimitedHttp

_STOP_S = 20


def main() -> None:
    """Serves until it is told to stop, and finishes what it has begun."""
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5555)
    parser.add_argument("--workers", type=int, default=1, help="processes; each has its own copy of what is live")
    given = parser.parse_args()
    try:
        if given.workers == 1:
            _run(given.host, given.port, 1)
            return
        with TemporaryDirectory(prefix="trackyard-metrics-") as folder:
            os.environ.update({WORKER_OF: str(os.getpid()), METRICS_DIR: folder})
            _run(given.host, given.port, given.workers)
    except Misconfigured as error:
        raise SystemExit(f"the service cannot start: {error}") from None


def _run(host: str, port: int, workers: int) -> None:
    uvicorn.run(
        "serving.app:build", factory=True, host=host, port=port, workers=workers,
        http=LimitedHttp, loop="uvloop", ws="none", lifespan="off", interface="asgi3",
        access_log=False, log_level="warning", server_header=False, proxy_headers=False, backlog=2048,
        timeout_keep_alive=75, timeout_graceful_shutdown=_STOP_S,
    )  # fmt: skip


if __name__ == "__main__":
    main()
