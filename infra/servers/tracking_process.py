"""MLflow's server, in one process: `python -m infra.servers.tracking_process --host HOST --port PORT --bucket BUCKET`.

`mlflow server` imports all of MLflow, starts a process that does so again and serves, and stays beside it (200 MB) to
hand its signals on. This tells the same application the same, and is the server itself. Effects: makes the tables where
the database is empty.
"""

from __future__ import annotations

import argparse
import os

_ARTIFACT_ROOT = "mlflow-artifacts:/"
"""Artefacts go through the server, so that only it needs the bucket's key."""


def main() -> None:
    """Serves until it is told to stop; what else there is to say is in MLflow's own variables."""
    parser = argparse.ArgumentParser(prog="python -m infra.servers.tracking_process", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bucket", required=True)
    given = parser.parse_args()
    # Before MLflow, which refuses foreign names of the host only where it sees a server.
    import uvicorn
    from mlflow import server
    from mlflow.server import constants, handlers

    database = os.environ["MLFLOW_BACKEND_STORE_URI"]
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: database,
        constants.REGISTRY_STORE_URI_ENV_VAR: database,
        constants.ARTIFACT_ROOT_ENV_VAR: _ARTIFACT_ROOT,
        constants.ARTIFACTS_DESTINATION_ENV_VAR: f"s3://{given.bucket}",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        server._MLFLOW_SGI_NAME.name: "uvicorn",
    }
    # Once and by one thread, before there are requests that would all do it.
    handlers.initialize_backend_stores(database, database, _ARTIFACT_ROOT)
    uvicorn.run(
        "mlflow.server.auth:create_app", factory=True, host=given.host, port=given.port,
        log_config=str(server._UVICORN_LOG_CONFIG),
    )  # fmt: skip


if __name__ == "__main__":
    main()
