"""A request and an answer as plain values, whichever server they came through. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import orjson

JSON = "application/json"
_HEADERS_OF = {401: (("WWW-Authenticate", "Bearer"),), **dict.fromkeys((429, 503), (("Retry-After", "1"),))}
"""What a refusal's status asks for."""


@dataclass
class Request:
    """What a client asks.

    Attributes:
        path: The address's path, decoded.
        query: What stands behind its question mark, as it came.
        headers: By name in lower case.
        client: The client's address, without its port.
        request_id: What the request is called in the log.
        token_id: The token that came with it, None for none.
        is_large: Whether it is one for the process of large requests, which is known when it was asked `at_once`.
        at_once: Whether everybody else waits for the answer: what takes more than a millisecond raises `TakesLonger`.
        may_read: Whether a request that everybody may make may be told more than others are.
        route: Its route's path, once it is known. Metrics go by it: the path itself is the caller's choice, and each
            would be a series of its own.
        name: The model's name in its path.
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
    at_once: bool = False
    may_read: bool = False
    route: str = "none"
    name: str = ""

    @cached_property
    def arguments(self) -> dict[str, str]:
        """The query's names and values."""
        try:
            return dict(parse_qsl(self.query, keep_blank_values=True, max_num_fields=50)) if self.query else {}
        except ValueError:
            return {}


@dataclass
class Answer:
    """What a client gets.

    Attributes:
        kind: The content type.
        headers: Other headers.
        facts: What the log line says besides.
    """

    status: int
    body: bytes = b""
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, **options: Any) -> Answer:
        """An answer of plain values."""
        return cls(status, as_json(value), **options)

    @classmethod
    def refusal(cls, refused: RequestRefused) -> Answer:
        """An answer that says why there is none."""
        error = {"code": refused.code, "message": refused.message, "problems": refused.problems}
        return cls.json({"error": error}, refused.status, headers=refused.headers, facts={"error": refused.code})


def problem(field: str | None, rule: str, row: int | None = None) -> dict[str, Any]:
    """One thing that is wrong with a request, as `RequestRefused` takes it."""
    return {"row": row, "field": field, "rule": rule}


def as_json(value: Any) -> bytes:
    """JSON of plain values; half a surrogate pair, which JSON's own text cannot hold, is shown as a question mark."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:
        # What JSON has no form for is null, as orjson has it, and half of a pair of surrogates a question mark.
        plain = json.loads(json.dumps(value, default=str), parse_constant=lambda name: None)
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class RequestRefused(Exception):
    """A request that cannot be answered.

    `code` is a word for programs, `message` one line for people, and `problems` has `{"row", "field", "rule"}` for each
    thing that is wrong, a row counting from 0. Where `headers` is None the answer has those that its status asks for.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        problems: list[dict[str, Any]] | None = None,
        headers: tuple[tuple[str, str], ...] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = problems or []
        self.headers = _HEADERS_OF.get(status, ()) if headers is None else headers


class TakesLonger(Exception):
    """A request that takes too long while everybody waits; `is_large`: it is one for the process of large requests."""

    def __init__(self, *, is_large: bool = False) -> None:
        super().__init__()
        self.is_large = is_large
