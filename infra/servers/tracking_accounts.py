"""Who may ask MLflow's server what: basic auth, and nothing but questions from the account that only reads.

MLflow lets every account make experiments and registered models, whatever its `default_permission`, so that one which
must not write is refused here. The server calls `authenticate` for each request: `authorization_function` of the file
that `infra.servers.tracking_server` writes. Effects: reads the accounts' database.
"""

from __future__ import annotations

from flask import Response, request
from mlflow.server.auth import authenticate_request_basic_auth
from werkzeug.datastructures import Authorization

from infra.servers.tracking_server import STATUS

_ASKING = ("GET", "HEAD", "OPTIONS")


def authenticate() -> Authorization | Response:
    """The account that asks, or the answer that refuses it: 401 without a login, 403 where a reader would write."""
    account: Authorization | Response = authenticate_request_basic_auth()
    if isinstance(account, Response) or account.username != STATUS or asks(request.method, request.path):
        return account
    return Response(f"The account {STATUS!r} only reads.", 403, mimetype="text/plain")


def asks(method: str, path: str) -> bool:
    """Whether a request changes nothing; MLflow's searches come by POST.

    >>> asks("POST", "/api/2.0/mlflow/runs/search"), asks("POST", "/api/2.0/mlflow/runs/create")
    (True, False)
    """
    return method in _ASKING or (method == "POST" and path.endswith("/search"))
