"""What is written to a terminal, and to a pipe."""

from __future__ import annotations

from io import StringIO

import pytest

from infra.cli.output import printable, say, show_table
from infra.cli.session import Session


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_no_colour_even_if_colour_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    session, pipe = Session(environ={}), StringIO()
    session.attach(pipe, pipe)

    say(session.out, "failed", "bold red")
    show_table(session.out, ["a", "b"], [["ready", "x" * 200]])

    assert "\x1b" not in pipe.getvalue()
    assert "x" * 200 in pipe.getvalue()


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colour_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    session, terminal = Session(environ={}), _Terminal()
    session.attach(terminal, terminal)

    say(session.out, "ready", "green")

    assert ("\x1b[32m" in terminal.getvalue()) is coloured


def test_text_from_elsewhere_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b]0;title\x07b\r\n") == "a?]0;title?b?\n"
