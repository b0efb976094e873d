"""Asking Airflow's API over HTTP: the login, and what its answers mean. Effects: HTTP; `airflow` calls it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any

import httpx

from ml.errors import AirflowDown, BadInput, Misconfigured, PipelineError

_API = "/api/v2"
_LOGIN_PAUSE_S = 5.0


class AirflowHttp(httpx.Auth):
    """Asks under one account with a token that is renewed in time; one object may be shared by threads.

    A login that failed is not tried again for five seconds, however many ask; the reason is told to all of them.
    `account` has `username` and `password`; `transport` carries the requests, the network when None.

    Raises:
        Misconfigured: The address is none, or (on a call) the account is refused.
        AirflowDown: On a call: Airflow does not answer, fails, or something else answers in its place.
        BadInput: On a call: Airflow refuses what was asked; the message is its own.
    """

    def __init__(
        self,
        base_url: str,
        account: Mapping[str, str],
        timeout_s: float,
        clock: Callable[[], float],
        transport: httpx.BaseTransport | None,
    ) -> None:
        try:
            self._http = httpx.Client(base_url=base_url, timeout=timeout_s, transport=transport, trust_env=False)
        except httpx.InvalidURL as error:
            raise Misconfigured(f"{base_url!r} is no address of Airflow ({error}): give http://host:port") from error
        self._base_url = base_url
        self._account = dict(account)
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._last_login = float("-inf")
        self._login_error: PipelineError | None = None

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Asks under the account, and gives back whatever the answer is."""
        try:
            return self._http.request(method, _API + path, auth=self, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._down(error) from error

    def _down(self, error: Exception) -> AirflowDown:
        return AirflowDown(f"Airflow at {self._base_url} does not answer ({error or type(error).__name__}): is it up?")

    def _refusal(self, answer: httpx.Response) -> PipelineError:
        status, detail = answer.status_code, _detail(answer)
        if status in (401, 403):
            return Misconfigured(f"Airflow at {self._base_url} refuses {self._account['username']!r} ({detail})")
        if status < 400 or status >= 500:
            return AirflowDown(f"Airflow at {self._base_url} failed ({status} {detail}): see its log")
        return BadInput(f"Airflow refuses: {detail}")

    def _strange(self) -> AirflowDown:
        return AirflowDown(f"what answers at {self._base_url} does not answer with Airflow's JSON: correct the address")

    def read_object(self, answer: httpx.Response) -> dict[str, Any]:
        """The JSON object of a success."""
        if not answer.is_success:
            raise self._refusal(answer)
        try:
            content = answer.json()
        except ValueError as error:
            raise self._strange() from error
        if not isinstance(content, dict):
            raise self._strange()
        return content

    def read_list(self, answer: httpx.Response, key: str) -> list[dict[str, Any]]:
        """The objects that a success lists under a key."""
        items = self.read_object(answer).get(key)
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self._strange()
        return items

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sends the token that is good now with a request, and after a 401 drops it and sends a fresh one."""
        token = self._current_token()
        request.headers["Authorization"] = f"Bearer {token}"
        answer = yield request
        if answer.status_code == 401:
            # It was revoked, or signed before Airflow's key changed: one fresh login, and no more than that.
            with self._lock:
                # Another thread may have logged in again since this token was used.
                if self._token == token:
                    self._token = ""
            request.headers["Authorization"] = f"Bearer {self._current_token()}"
            yield request

    def _current_token(self) -> str:
        with self._lock:
            now = self._clock()
            if self._token and now < self._renew_at:
                return self._token
            if now - self._last_login >= _LOGIN_PAUSE_S:
                self._log_in(now)
            if self._token:
                return self._token
            error = self._login_error
            if error:
                # A fresh one each time: an exception that is raised again and again keeps every place it came by.
                raise type(error)(str(error))
            user = self._account["username"]
            raise AirflowDown(f"Airflow at {self._base_url} takes back each login of {user!r}: see its log")

    def _log_in(self, now: float) -> None:
        """Asks for a token. When none comes, the reason is kept, and the token before, which may still be good."""
        self._last_login = now
        try:
            answer = self._http.post("/auth/token", json=self._account)
            token = self.read_object(answer).get("access_token")
            if not isinstance(token, str):
                raise self._strange()
        except PipelineError as error:
            self._login_error = error
        except httpx.HTTPError as error:
            self._login_error = self._down(error)
            if isinstance(error, httpx.ConnectError):
                # Nothing was asked of Airflow yet, so the first moment that it is back is not too early.
                self._last_login = float("-inf")
        else:
            self._login_error = None
            self._token, self._renew_at = token, now + _life_s(token) * 0.8


def _life_s(token: str) -> float:
    """For how many seconds a token is good, by what it carries itself: no clock of ours has to agree with Airflow's."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return max(float(claims["exp"]) - float(claims["iat"]), _LOGIN_PAUSE_S)
    except (IndexError, ValueError, KeyError, TypeError):
        return 600.0


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json().get("detail", answer.text)
    except (ValueError, AttributeError):
        detail = answer.text
    return " ".join((detail if isinstance(detail, str) else json.dumps(detail)).split())[:500]
