"""What an error is to people and to scripts: lines, and an exit code."""

from __future__ import annotations

import pytest

from infra.cli.errors import CommandFailed, StackNotUp
from infra.cli.outcome import exit_code_of, lines_of
from ml.errors import AirflowDown, BadInput, GateFailed, HashMismatch, Misconfigured, StoreDown


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("x"), 2),
        (Misconfigured("x"), 2),
        (AirflowDown("x"), 3),
        (StoreDown("x"), 3),
        (StackNotUp(), 3),
        (GateFailed("x"), 1),
        (HashMismatch("x"), 1),
        (CommandFailed("x"), 1),
        (RuntimeError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_the_exit_code_tells_what_cures_an_error(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


def test_an_error_is_one_line_whatever_it_holds() -> None:
    assert lines_of(BadInput("a\n  b")) == ["a b"]
    assert lines_of(CommandFailed("a", ["  more"])) == ["a", "  more"]
    assert lines_of(KeyError("x"))[0].startswith("unexpected KeyError: 'x'")
