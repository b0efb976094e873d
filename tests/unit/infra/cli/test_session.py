"""What every command gets: consoles, the stack that it is about, and the variables that reach it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.exceptions import MlflowException

from infra.cli.errors import StackNotUp
from infra.cli.output import say, show_table
from infra.cli.remote import RemoteStack
from infra.cli.session import Session
from ml.errors import BadInput, TrackerDown
from tests.unit.infra.cli.conftest import LOGINS, NO_FILE

HERE, THERE = "http://here:8080", "http://there:8080"


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


def _elsewhere() -> RemoteStack:
    return RemoteStack.at(THERE, LOGINS, NO_FILE)


@pytest.mark.parametrize(
    ("option", "variable", "found"), [("", "", None), ("", THERE, THERE), (HERE, "", HERE), (HERE, THERE, HERE)]
)
def test_the_option_names_a_stack_elsewhere_before_the_variable_does(
    option: str, variable: str, found: str | None
) -> None:
    session = Session({"TRACKYARD_REMOTE": variable, "TRACKYARD_ENV_FILE": str(NO_FILE)}, remote_url=option)

    remote = session.remote()

    assert (remote and remote.api_urls["airflow"]) == found


def test_the_logins_of_a_stack_elsewhere_are_those_of_the_env_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.env").write_text("".join(f"{name}={value}\n" for name, value in LOGINS.items()))
    remote = Session({"TRACKYARD_ENV_FILE": str(tmp_path / "own.env")}, remote_url=THERE).remote()

    assert remote
    assert remote.logins()["airflow"]["password"] == "a-password"


def test_a_command_for_this_machine_is_refused_for_another() -> None:
    Session({}).refuse_remote("up", "start it there")

    with pytest.raises(BadInput, match=r"^'up' is for the stack on this machine: start it there$"):
        Session({"TRACKYARD_ENV_FILE": str(NO_FILE)}, remote_url=THERE).refuse_remote("up", "start it there")


@pytest.mark.parametrize("missing", ["secrets.json", "ports.json"])
def test_a_home_that_is_not_set_up_whole_is_no_stack(cli, missing: str) -> None:
    session = Session(cli.environ)
    assert session.known_stack().urls["mlflow"] == "http://127.0.0.1:5000"

    (cli.home / missing).unlink()

    with pytest.raises(StackNotUp):
        session.known_stack()


def test_a_running_stack_is_reached_by_this_processs_variables_and_no_others(cli) -> None:
    cli.environ |= {"AWS_PROFILE": "work", "MLFLOW_TRACKING_TOKEN": "x", "NO_PROXY": "example.com"}
    cli.environ |= {"MLFLOW_TRACKING_URI": "http://elsewhere", "HOME": "/home/ann"}

    Session(cli.environ, control=lambda: cli.stack).running_stack()

    assert cli.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    assert cli.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    assert cli.environ["HOME"] == "/home/ann"
    assert not {"AWS_PROFILE", "MLFLOW_TRACKING_TOKEN"} & set(cli.environ)
    assert (cli.environ["NO_PROXY"], cli.environ["no_proxy"]) == (
        "127.0.0.1,localhost,example.com",
        "127.0.0.1,localhost",
    )


def test_a_stack_that_does_not_run_changes_no_variable(cli) -> None:
    cli.stack.running = False
    before = dict(cli.environ)

    with pytest.raises(StackNotUp):
        Session(cli.environ, control=lambda: cli.stack).running_stack()

    assert cli.environ == before


def test_a_stack_elsewhere_is_taken_to_run(cli) -> None:
    cli.stack.running = False

    assert Session({}, control=lambda: cli.stack).is_running(_elsewhere())


def test_the_model_is_the_one_that_was_named_before_the_pipeline_files(bare) -> None:
    Path(bare.environ["TRACKYARD_PIPELINE_FILE"]).write_text("model: {name: own}\n")
    session = Session(bare.environ)

    assert [session.model_name(named) for named in ("other", None)] == ["other", "own"]


def test_what_mlflow_raises_names_the_server(registry) -> None:
    session = Session({}, tracker=lambda info: registry.tracker)

    with session.mlflow(_elsewhere()) as tracker:
        assert tracker is registry.tracker
    with pytest.raises(TrackerDown, match="MLflow at http://there:5000"), session.mlflow(_elsewhere()):
        raise MlflowException("API request to /x failed")


@pytest.mark.parametrize(("answer", "model"), [({"model": {"version": "3"}}, {"version": "3"}), ({"model": None}, {})])
def test_the_service_is_asked_for_its_model_with_the_token_of_the_environment(
    answer: dict[str, Any], model: dict[str, str]
) -> None:
    asked = []

    def fetch(url: str, token: str) -> dict[str, Any]:
        asked.append((url, token))
        return answer

    assert Session({"TRACKYARD_SERVING_TOKEN": "ty_1"}, fetch=fetch).live_model(_elsewhere()) == model
    assert asked == [("http://there:5555/status", "ty_1")]


@pytest.mark.parametrize("error", [httpx.ConnectError("away"), ValueError("no JSON")])
def test_a_service_that_does_not_answer_has_no_known_model(error: Exception) -> None:
    def fetch(url: str, token: str) -> dict[str, Any]:
        raise error

    assert Session({}, fetch=fetch).live_model(_elsewhere()) is None


def test_where_nobody_can_answer_nothing_is_asked() -> None:
    session = Session({}, interactive=lambda: False)

    with pytest.raises(BadInput, match=r"^--wipe asks first, and nobody can answer here: add --yes$"):
        session.agree("--wipe asks first", "Delete it all?")


def test_an_error_is_a_line_on_stderr_and_its_hints_are_below_it() -> None:
    session, out, errors = Session({}), StringIO(), StringIO()
    session.attach(out, errors)

    session.complain(["it failed [here]", "  a hint", "another"])

    assert errors.getvalue() == "trackyard: it failed [here]\n  a hint\nanother\n"
    assert out.getvalue() == ""
