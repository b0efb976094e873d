"""A request and an answer as plain values, whichever server they came through. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from serving.settings import ServingSettings

if TYPE_CHECKING:
    pass


import io
from functools import cached_property
from urllib.parse import parse_qsl, unquote_to_bytes

JSON = "application/json"


@dataclass
class Request:
    """What a client asks.

    Attributes:
        method: GET, POST, ...
        path: The address's path, decoded.
        query: What stands behind its question mark, as it came.
        headers: By name in lower case.
        client: The client's address, without its port.
        body: What was sent.
        request_id: What the request is called in the log.
        token_id: The token that came with it, None for none.
        is_large: Whether it is known to ask for much, small as its body is.
        may_read: Whether a request that everybody may make may be told more than others are.
        route: The route's pattern, once it is known.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    client: str
    body: bytes = b""
    request_id: str = ""
    token_id: str | None = None
    is_large: bool = False
    may_read: bool = False
    route: str = "none"

    @cached_property
    def arguments(self) -> dict[str, str]:
        """The query's names and values."""
        try:
            return dict(parse_qsl(self.query, keep_blank_values=True, max_num_fields=50)) if self.query else {}
        except ValueError:
            return {}

    def environ(self) -> dict[str, Any]:
        """The request as WSGI has it (PEP 3333)."""
        host, _, port = self.headers.get("host", "localhost").rpartition(":")
        found: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path.encode("utf-8", "replace").decode("latin-1"),
            "QUERY_STRING": self.query,
            "SERVER_NAME": host or "localhost",
            "SERVER_PORT": port if port.isdecimal() else "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self.client,
            "CONTENT_LENGTH": str(len(self.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "trackyard.may_read": self.may_read,
        }
        for name, value in self.headers.items():
            if name == "content-type":
                found["CONTENT_TYPE"] = value
            elif name != "content-length":
                found["HTTP_" + name.upper().replace("-", "_")] = value
        return found


@dataclass
class Answer:
    """What a client gets.

    Attributes:
        status: The HTTP status.
        body: What is sent.
        kind: The content type.
        headers: Other headers.
        route: The route's pattern, for metrics: a path is the caller's choice, and each would be a series of its own.
        facts: What the log line says besides.
    """

    status: int
    body: bytes = b""
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    route: str = "none"
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, **options: Any) -> Answer:
        """An answer of plain values."""
        return cls(status, as_json(value), **options)

    @classmethod
    def refusal(cls, refused: RequestRefused, **options: Any) -> Answer:
        """An answer that says why there is none."""
        error = {"code": refused.code, "message": refused.message, "problems": refused.problems}
        return cls.json({"error": error}, refused.status, **{**options, "facts": {"error": refused.code}})


def decoded(path: str) -> str:
    """A path whose percent signs are resolved; what is no UTF-8 is shown as question marks."""
    return unquote_to_bytes(path).decode("utf-8", "replace") if "%" in path else path


def too_large(settings: ServingSettings) -> RequestRefused:
    """What is said of a body over the limit."""
    rule = f"at most {settings.max_body_bytes} bytes"
    problems = [{"row": None, "field": "body", "rule": rule}]
    return RequestRefused(413, "body_too_large", f"the body is too large: send {rule} at a time", problems)


def as_json(value: Any) -> bytes:
    """JSON of plain values; half a surrogate pair, which JSON's own text cannot hold, is shown as a question mark."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:
        return orjson.dumps(_cleaned(value), option=orjson.OPT_NON_STR_KEYS)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(item) for item in value]
    return value if isinstance(value, (int, float, bool)) or value is None else str(value)


class RequestRefused(Exception):
    """A request that cannot be answered.

    Args:
        status: The HTTP status.
        code: A word for programs.
        message: One line for people.
        problems: `{"row", "field", "rule"}` for each thing that is wrong; a row counts from 0.
    """

    def __init__(self, status: int, code: str, message: str, problems: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = problems or []
