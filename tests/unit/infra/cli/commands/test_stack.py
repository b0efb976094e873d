"""The commands about the stack: up, down, status, credentials, logs."""

from __future__ import annotations

import json

import pytest

from infra.stack.info import PartStatus
from infra.stack.preparation import StackError


def test_up_says_where_everything_is_and_shows_no_secret(cli) -> None:
    result = cli("up")

    secrets = json.loads((cli.home / "secrets.json").read_text())
    assert result.exit_code == 0
    assert "postgres               ready" in result.stdout
    assert "http://127.0.0.1:8080" in result.stdout
    assert "trackyard credentials" in result.stdout
    assert not any(secret in result.output for secret in secrets.values())


def test_a_start_that_fails_names_the_part_and_its_last_lines(cli) -> None:
    cli.stack.failure = StackError(
        "postgres did not start: no space", ["  PANIC: no space", "'trackyard logs postgres' ..."]
    )

    result = cli("up")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "trackyard: postgres did not start: no space",
        "  PANIC: no space",
        "'trackyard logs postgres' ...",
    ]


def test_down_stops_and_keeps_the_state(cli) -> None:
    assert cli("down").exit_code == 0
    assert cli.stack.done == ["down"]


@pytest.mark.parametrize(
    ("typed", "interactive", "options", "code", "done"),
    [
        ("y\n", True, [], 0, ["down", "wipe"]),
        ("n\n", True, [], 1, []),
        (None, False, [], 2, []),
        (None, False, ["--yes"], 0, ["down", "wipe"]),
    ],
)
def test_wiping_asks_first(
    cli, typed: str | None, interactive: bool, options: list[str], code: int, done: list[str]
) -> None:
    cli.interactive = interactive

    result = cli("down", "--wipe", *options, typed=typed)

    assert result.exit_code == code
    assert cli.stack.done == done


def test_status_shows_parts_runs_and_the_live_model(cli) -> None:
    cli.airflow.listed = [cli.dag_run("r2", "running"), cli.dag_run("r1", "success")]
    cli.service = {"model": {"name": "ad-click", "version": "3"}}

    result = cli("status")

    assert result.exit_code == 0
    assert "mlflow" in result.stdout
    assert "last run: r1 success, 8.5 s" in result.stdout
    assert "running: r2" in result.stdout
    assert "live model: ad-click version 3" in result.stdout


def test_status_as_json_has_every_part(cli) -> None:
    cli.airflow.listed = [cli.dag_run("r1", "failed")]

    found = json.loads(cli("status", "--json").stdout)

    assert set(found) == {"parts", "pipeline", "model"}
    assert set(found["parts"][0]) == {"name", "state", "detail", "url", "pid", "memory_bytes"}
    assert found["pipeline"]["last_run"]["dag_run_id"] == "r1"
    assert found["pipeline"]["running"] == []
    assert found["model"] is None


def test_status_exits_with_1_when_a_part_is_not_ready(cli) -> None:
    cli.stack.statuses[4] = PartStatus("mlflow", "failed", "500", None, 1, 1)

    result = cli("status")

    assert result.exit_code == 1
    assert "not ready: mlflow" in result.stderr


def test_status_of_a_stopped_stack_is_still_json(cli) -> None:
    cli.stack.running = False

    result = cli("status", "--json")

    assert result.exit_code == 3
    assert json.loads(result.stdout)["pipeline"] == {"last_run": None, "running": []}


def test_status_goes_on_when_airflow_is_away(cli) -> None:
    from ml.errors import AirflowDown

    def away(*_: object, **__: object) -> list[dict[str, object]]:
        raise AirflowDown("away")

    cli.airflow.dag_runs = away

    assert json.loads(cli("status", "--json").stdout)["pipeline"]["error"] == "away"


def test_credentials_have_the_documented_shape(cli) -> None:
    found = json.loads(cli("credentials", "--json").stdout)

    assert set(found) == {"airflow", "mlflow", "flower", "s3"}
    assert all(set(login) == {"url", "username", "password"} for login in found.values())
    assert found["airflow"]["password"] in cli("credentials").stdout


def test_credentials_are_shown_of_a_stopped_stack_too(cli) -> None:
    cli.stack.running = False

    assert cli("credentials").exit_code == 0


def test_logs_show_the_last_lines_of_a_part(cli) -> None:
    (cli.home / "logs" / "mlflow.log").write_text("".join(f"line {number}\n" for number in range(100)))

    assert cli("logs", "mlflow", "--lines", "2").stdout == "line 98\nline 99\n"


def test_logs_go_on_until_they_are_interrupted(cli) -> None:
    log = cli.home / "logs" / "mlflow.log"
    log.write_text("old\n")
    waits = iter(["new\n"])

    def sleep(seconds: float) -> None:
        text = next(waits, None)
        if text is None:
            raise KeyboardInterrupt
        with log.open("a") as handle:
            handle.write(text)

    cli.clock.sleep = sleep

    result = cli("logs", "mlflow", "-f")

    assert result.exit_code == 130
    assert result.stdout == "old\nnew\n"


@pytest.mark.parametrize(
    ("part", "message"), [("mlfow", "did you mean mlflow?"), ("x", "there are postgres"), ("redis", "no log yet")]
)
def test_logs_of_what_has_none_exit_with_2(cli, part: str, message: str) -> None:
    result = cli("logs", part)

    assert result.exit_code == 2
    assert message in result.stderr
