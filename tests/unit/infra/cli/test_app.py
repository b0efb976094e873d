"""What every command has in common: one line per error, the codes for it, a quick start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_help_needs_no_heavy_import() -> None:
    heavy = {"mlflow", "pandas", "sklearn", "boto3", "httpx", "psutil"}
    code = f"import sys, infra.cli.app; print(*{heavy} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'from infra.cli import main; main()' --help | head -1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env={**os.environ})

    assert done.stderr == ""
