"""docs/cli.md names every command and option of the command line, and no other."""

from __future__ import annotations

import re
from typing import Any

import pytest
from typer.main import get_command

from infra.cli.app import app
from tests.support import ROOT

PAGE = ROOT / "docs" / "cli.md"


def _commands(command: Any, name: str = "") -> dict[str, Any]:
    """Every command that can be called, by its full name."""
    inner = getattr(command, "commands", None)
    if not inner:
        return {name: command}
    found: dict[str, Any] = {}
    for word, each in inner.items():
        found |= _commands(each, f"{name} {word}".strip())
    return found


COMMANDS = _commands(get_command(app))


def _sections() -> dict[str, str]:
    parts = re.split(r"^## `trackyard (.+?)`$", PAGE.read_text(encoding="utf-8"), flags=re.M)
    return {heading: text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_command_has_a_section() -> None:
    assert sorted(_sections()) == sorted(COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_section_names_the_options_and_shows_an_example(name: str) -> None:
    section = _sections()[name]
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("-")}

    first_cells = re.findall(r"^\| (`-.*?) \|", section, flags=re.M)
    documented = {option for cell in first_cells for option in re.findall(r"`(-[^`]+)`", cell)}

    assert documented == options - {"--help", "-h"}
    assert re.search(rf"^    \$ .*trackyard {name}\b", section, flags=re.M)
    assert "Exit codes" in section


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]

    assert command.help
    assert all(parameter.help for parameter in command.params)
