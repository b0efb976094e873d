"""What every command has in common: exit codes, one line per error, no colour in pipes, a quick start."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from infra.cli.errors import CommandFailed, StackNotUp
from infra.cli.outcome import exit_code_of, lines_of
from infra.cli.output import printable, say, show_table
from infra.cli.session import Session
from ml.errors import AirflowDown, BadInput, GateFailed, HashMismatch, Misconfigured, StoreDown

NEED_A_STACK = [
    ["run"],
    ["runs"],
    ["models"],
    ["promote", "1"],
    ["rollback"],
    ["status"],
    ["credentials"],
    ["logs", "mlflow"],
    ["mail"],
]


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


@pytest.mark.parametrize("arguments", NEED_A_STACK, ids=" ".join)
def test_without_a_stack_a_command_says_how_to_start_it(bare, arguments: list[str]) -> None:
    result = bare(*arguments)

    assert result.exit_code == 3
    assert result.stderr == "trackyard: the stack is not running: 'trackyard up' starts it\n"


@pytest.mark.parametrize(
    "arguments", [["run"], ["runs"], ["models"], ["promote", "1"], ["rollback"], ["status"]], ids=" ".join
)
def test_a_stopped_stack_is_not_running_either(cli, arguments: list[str]) -> None:
    cli.stack.running = False

    result = cli(*arguments)

    assert result.exit_code == 3
    assert result.stderr == "trackyard: the stack is not running: 'trackyard up' starts it\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["rns"], "Did you mean 'run', 'runs'?"),
        (["run", "--frobnicate"], "No such option"),
        (["promote"], "Missing argument"),
        (["promote", "latest"], "not a valid int"),
        (["promote", "0"], "0 is not in the range"),
        (["init", "data.csv"], "Missing option '--target'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_is_one_line_and_exits_with_2(cli, arguments: list[str], message: str) -> None:
    result = cli(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("trackyard: ")
    assert result.stderr.count("\n") == 1
    assert "--help' shows how" in result.stderr


def test_an_unknown_setting_exits_with_2(cli) -> None:
    cli.environ["TRACKYARD_HOEM"] = "x"

    result = cli("status")

    assert result.exit_code == 2
    assert "unknown setting TRACKYARD_HOEM" in result.stderr


def test_a_traceback_is_shown_with_debug_only(cli) -> None:
    arguments = ["run", "--data", "nowhere.csv"]

    plain, before, behind = cli(*arguments), cli("--debug", *arguments), cli(*arguments, "--debug")

    assert plain.exit_code == before.exit_code == behind.exit_code == 2
    assert "Traceback" not in plain.stderr
    assert "Traceback" in before.stderr
    assert "Traceback" in behind.stderr
    assert plain.stderr.count("\n") == 1


def test_a_defect_is_one_line_too(cli) -> None:
    cli.airflow.dag = lambda dag_id: 1 / 0

    result = cli("run")

    assert result.exit_code == 1
    assert result.stderr.startswith("trackyard: unexpected ZeroDivisionError: division by zero")


def test_version_is_printed(bare) -> None:
    result = bare("--version")

    assert result.exit_code == 0
    assert result.stdout.startswith("trackyard ")


def test_without_arguments_there_is_help(bare) -> None:
    result = bare()

    assert result.exit_code == 0
    assert "Commands" in result.stdout


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


def test_help_needs_no_heavy_import() -> None:
    heavy = {"mlflow", "pandas", "sklearn", "boto3", "httpx", "psutil"}
    code = f"import sys, infra.cli.app; print(*{heavy} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'from infra.cli import main; main()' --help | head -1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env={**os.environ})

    assert done.stderr == ""
