"""A search finds what is on every page, and asks for no page before it is needed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from ml.tracking.searching import every

if TYPE_CHECKING:
    from mlflow import MlflowClient


def test_what_is_on_later_pages_is_found_in_order_and_once(client: MlflowClient) -> None:
    made = [client.create_registered_model(f"page {number}").name for number in range(3)]

    def search(**asked: Any) -> Any:
        return client.search_registered_models(**asked | {"max_results": 1})

    assert [model.name for model in every(search, filter_string="name LIKE 'page %'")] == made
    assert list(every(search, filter_string="name = 'nobody'")) == []


class _Page(list[int]):
    def __init__(self, *found: int, token: str | None) -> None:
        super().__init__(found)
        self.token = token


def test_a_page_is_asked_for_when_the_one_before_is_used_up() -> None:
    pages = {None: _Page(1, 2, token="second"), "second": _Page(3, token="")}
    asked: list[dict[str, Any]] = []

    def search(**conditions: Any) -> _Page:
        asked.append(conditions)
        return pages[conditions["page_token"]]

    found = every(search, view="all")
    assert asked == []
    assert list(islice(found, 2)) == [1, 2]
    assert asked == [{"view": "all", "max_results": 1000, "page_token": None}]
    assert list(found) == [3]
    assert [each["page_token"] for each in asked] == [None, "second"]
