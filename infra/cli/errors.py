"""The two errors that only the command line has."""

from __future__ import annotations

from collections.abc import Sequence

from ml.errors import PipelineError, Unavailable


class StackNotUp(Unavailable):
    """The stack does not run, so there is nothing to ask."""

    def __init__(self) -> None:
        super().__init__("the stack is not running: 'trackyard up' starts it")


class CommandFailed(PipelineError):
    """The command did what it should and the thing itself failed, such as a run; `hint` are lines below the message."""

    def __init__(self, message: str, hint: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.hint = list(hint)
