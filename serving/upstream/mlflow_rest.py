"""Asking MLflow's REST API for what the service looks at every second. Effects: HTTP.

MLflow's own client would bring as much memory into the process as all the rest of it; and it waits and asks again
where an answer that is late is better reported, since the next question comes in a second anyway.
https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from ml.errors import Misconfigured, PipelineError, TrackerDown

_API = "/api/2.0/mlflow/"
_TIMEOUT_S = 10.0
_PAGE = 1000


class MlflowHttp:
    """Asks under the account that MLflow's own variables name; `transport` carries the requests, the network when None.

    Raises:
        Misconfigured: The address is none, or (on a call) the account or the host name is refused.
        TrackerDown: On a call: MLflow does not answer, fails, or something else answers in its place.
        PipelineError: On a call: MLflow refuses what was asked; the message is its own.
    """

    def __init__(self, uri: str, environ: Mapping[str, str], transport: httpx.BaseTransport | None = None) -> None:
        self._uri = uri
        token = environ.get("MLFLOW_TRACKING_TOKEN")
        name, password = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_PASSWORD")
        insecure = environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
        try:
            self._http = httpx.Client(
                base_url=uri.rstrip("/") + _API,
                auth=(name, password) if name and password else None,
                headers={"Authorization": f"Bearer {token}"} if token and not (name and password) else {},
                timeout=_TIMEOUT_S,
                verify=False if insecure else _certificates(environ),
                transport=transport,
            )
        except httpx.InvalidURL as error:
            raise Misconfigured(f"{uri!r} is no address of MLflow ({error}): give http://host:port") from error

    def get(self, path: str, **params: str | int) -> dict[str, Any] | None:
        """The answer to a question, None where what it is about is not there."""
        return self._ask("GET", path, params=params)

    def post(self, path: str, **content: Any) -> dict[str, Any] | None:
        """The answer to a question that MLflow takes as JSON; as `get`."""
        return self._ask("POST", path, json=content)

    def _ask(self, method: str, path: str, **content: Any) -> dict[str, Any] | None:
        try:
            answer = self._http.request(method, path, **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._down(str(error) or type(error).__name__) from error
        if answer.status_code in (401, 403):
            why = f"({answer.status_code} {_text(answer)})"
            raise Misconfigured(f"MLflow at {self._uri} refuses us {why}: check the account and --allowed-hosts")
        try:
            content = answer.json()
        except ValueError:
            raise self._down(f"{answer.status_code} {_text(answer)}") from None
        if not isinstance(content, dict) or answer.is_server_error or answer.is_redirect:
            raise self._down(f"{answer.status_code} {_text(answer)}")
        if content.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        if not answer.is_success:
            raise PipelineError(f"MLflow at {self._uri} refuses: {_text(answer)}")
        return content

    def each(self, path: str, what: str, **params: str | int) -> Iterator[dict[str, Any]]:
        """What a search finds, page by page, each page asked for when it is needed."""
        token = ""
        while True:
            more = {"page_token": token} if token else {}
            page = self.get(path, **{"max_results": _PAGE, **params}, **more) or {}
            yield from page.get(what, [])
            token = str(page.get("next_page_token") or "")
            if not token:
                return

    def _down(self, reason: str) -> TrackerDown:
        return TrackerDown(f"MLflow at {self._uri} does not answer ({reason}): is it up?")


def _text(answer: httpx.Response) -> str:
    return " ".join(answer.text.split())[:300]


def _certificates(environ: Mapping[str, str]) -> Any:
    """What TLS trusts: MLflow's own variable, or else what httpx reads from SSL_CERT_FILE."""
    import ssl

    path = environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    return ssl.create_default_context(cafile=path) if path else True
