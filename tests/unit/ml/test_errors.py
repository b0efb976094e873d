"""The tree of errors, whose branches say what cures them, and how an error is told."""

from __future__ import annotations

import re

import pytest

from ml import errors


def test_the_tree_that_is_drawn_is_the_tree_that_there_is() -> None:
    drawn: dict[str, str] = {}
    path = ["PipelineError"]
    for rail, name in re.findall(r"^([│ ]*)[├└]── (\w+)", str(errors.__doc__), re.MULTILINE):
        path[len(rail) // 4 + 1 :] = [name]
        drawn[name] = path[-2]

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert {kind.__name__: kind.__bases__[0].__name__ for kind in kinds} == {**drawn, "PipelineError": "Exception"}
    assert len(drawn) == 17


@pytest.mark.parametrize(
    ("error", "limit", "told"),
    [
        (errors.BadInput("no\n  columns\t"), 500, "no columns"),
        (errors.BadInput("x" * 501), 500, "x" * 500),
        (errors.BadInput("x" * 501), None, "x" * 501),
        (errors.StoreDown(), 500, "StoreDown"),
        (TimeoutError("\n"), None, "TimeoutError"),
    ],
)
def test_an_error_is_told_on_one_line_by_its_type_where_it_says_nothing(
    error: Exception, limit: int | None, told: str
) -> None:
    assert errors.one_line(error, limit) == told


def test_a_line_has_at_most_five_hundred_characters_unless_told_otherwise() -> None:
    assert errors.one_line(errors.BadInput("x" * 501)) == "x" * 500
