"""The two errors that only the command line has."""

from __future__ import annotations

from infra.cli.errors import CommandFailed, StackNotUp
from ml.errors import Unavailable


def test_a_stack_that_is_not_up_is_an_outage_that_says_what_ends_it() -> None:
    error = StackNotUp()

    assert isinstance(error, Unavailable)
    assert str(error) == "the stack is not running: 'trackyard up' starts it"


def test_a_failure_has_its_message_and_the_lines_below_it() -> None:
    failure = CommandFailed("the run failed", ("  first", "  second"))

    assert str(failure) == "the run failed"
    assert failure.hint == ["  first", "  second"]
    assert CommandFailed("the run failed").hint == []
    # It is asked for again by whoever calls, never by itself.
    assert not isinstance(failure, Unavailable)
