"""The form of a route: an address, who may ask it, what answers it, and how it is described. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from serving.models.cache import LiveModel
from serving.settings import ServingSettings
from serving.web.messages import Answer, Request, RequestRefused

OPEN, READ, PREDICT, OPERATE, WEBHOOK = "open", "read", "predict", "operate", "webhook"
"""What a token must allow; `open` needs none, `webhook` a signature of its own instead."""
NAME = "<name>"
"""Stands in a path for the name of a model."""


Operation = Callable[[LiveModel | None, ServingSettings], dict[str, Any]]
"""Describes a route in OpenAPI, from what is live (None: nothing is) and the settings."""


@dataclass(frozen=True)
class Route:
    """An address that is answered.

    Attributes:
        path: The address, with `<name>` for a model's name.
        scope: What a token must allow.
        operation: Its description; None: it has none.
        answer: What answers it; None where `view` does.
        view: A view of Flask's that answers it, for people.
        method: How it is asked; GET stands for HEAD as well.
        is_quick: Whether `answer` is first asked on the event loop, where everybody waits for it (`Request.at_once`).
    """

    path: str
    scope: str
    operation: Operation | None
    answer: Callable[[Request], Answer] | None = None
    view: Callable[..., Any] | None = None
    method: str = "GET"
    is_quick: bool = False

    def check_method(self, method: str) -> None:
        """Refuses another method than the route's: RequestRefused (405)."""
        allowed = ("GET", "HEAD") if self.method == "GET" else (self.method,)
        if method not in allowed:
            message = f"{self.path} is asked by {self.method}"
            raise RequestRefused(405, "method_not_allowed", message, headers=(("Allow", ", ".join(allowed)),))


class Router:
    """Finds the route of a path among routes, each of another path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._exact = {route.path: route for route in self.routes if NAME not in route.path}
        named = [route for route in self.routes if NAME in route.path]
        self._named = [(re.compile(re.escape(route.path).replace(NAME, "([^/]+)")), route) for route in named]

    def find(self, path: str) -> tuple[Route | None, str]:
        """The route, None where there is none, and the name in the path."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact, ""
        for pattern, route in self._named:
            match = pattern.fullmatch(path)
            if match is not None:
                return route, match[1]
        return None, ""
