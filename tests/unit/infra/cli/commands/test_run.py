"""`trackyard run` and `data add`: what is sent, and what is followed."""

from __future__ import annotations

import json

import pytest

from tests.unit.infra.cli.conftest import RUN_ID


def test_the_whole_configuration_is_sent(registry, tmp_path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("split: {test_size: 0.2}\nmodel: {name: own}\nschema: {}\n")

    registry(
        "run",
        "--config",
        str(file),
        "--set",
        "model.parameters.C=0.5",
        "--set",
        "split.stratify=true",
        "--note",
        "try",
        "--no-wait",
    )

    sent = registry.airflow.triggered[0]
    assert sent["dag_id"] == "Airflow_Lab2"
    assert sent["note"] == sent["conf"]["note"] == "try"
    assert sent["conf"]["data"] == ""
    assert sent["conf"]["config"]["split"] == {"test_size": 0.2, "random_state": 42, "stratify": True, "folds": 5}
    assert sent["conf"]["config"]["model"]["parameters"]["C"] == 0.5
    assert sent["conf"]["config"]["schema"] == {}


def test_what_is_sent_is_what_the_dag_reads(registry) -> None:
    from ml.config.loading import config_from_trigger, form_defaults
    from ml.config.schema import PipelineConfig

    registry("run", "--rows", "500", "--set", "split.test_size=0.2", "--no-wait")

    base = PipelineConfig()
    form = {name: value for name, value in form_defaults(base).items() if name != "mail_to"}
    config = config_from_trigger(base, {**form, **registry.airflow.triggered[0]["conf"]})
    assert config.data.generate.rows == 500
    assert config.split.test_size == 0.2


def test_the_stacks_own_file_gives_the_defaults(registry) -> None:
    registry("run", "--no-wait")

    assert registry.airflow.triggered[0]["conf"]["config"]["split"]["test_size"] == 0.25


def test_a_local_file_goes_into_the_bucket_first(registry, tmp_path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("a,b\n1,2\n")

    registry("run", "--data", str(file), "--no-wait")

    conf = registry.airflow.triggered[0]["conf"]
    assert registry.store.put == [file]
    assert conf["data"] == conf["config"]["data"]["uri"] == "s3://trackyard/datasets/0af3/own.csv"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere.csv"], "nowhere.csv does not exist"),
        (["--data", "."], "is a folder"),
        (["--data", "EMPTY"], "is empty"),
        (["--data", "s3://other/x.csv"], "not in an allowed bucket"),
        (["--data", "http://x/y.csv"], "data is not read from the host 'x'"),
        (["--set", "split.tset_size=0.2"], "did you mean test_size?"),
        (["--set", "split.test_size=big"], "split.test_size"),
        (["--set", "split"], "is not KEY=VALUE"),
        (["--config", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (["--config", "OWN"], "the generated one has no column 'left', 'age': name the data with --data"),
        (["--set", "data.target=left"], "the generated one has no column 'left': name the data with --data"),
        (["--data", ""], "--data is empty: name a file"),
        (["--rows", "3"], "data.generate.rows"),
        (["--rows", "100", "--data", "s3://trackyard/x.csv"], "leave one of the two out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_refused_before_anything_is_triggered(
    registry, tmp_path, arguments: list[str], message: str
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    own = tmp_path / "own.yaml"
    own.write_text("data: {target: left}\nschema: {age: {type: integer}, left: {type: category}}\n")
    files = {"EMPTY": str(empty), "OWN": str(own)}

    result = registry("run", *[files.get(word, word) for word in arguments])

    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert registry.airflow.triggered == []


def test_a_file_over_the_limit_is_refused(registry, tmp_path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("a,b\n1,2\n")

    result = registry("run", "--data", str(file), "--set", "data.max_bytes=3")

    assert result.exit_code == 2
    assert "data.max_bytes allows 3" in result.stderr


def test_not_waiting_prints_the_run_and_its_page(registry) -> None:
    result = registry("run", "--no-wait")

    assert result.exit_code == 0
    assert result.stdout.startswith(f"triggered {RUN_ID}")
    assert json.loads(registry("run", "--no-wait", "--json").stdout)["state"] == "queued"


def test_ctrl_c_leaves_the_run_going(registry) -> None:
    registry.airflow.interrupt = True

    result = registry("run")

    assert result.exit_code == 130
    assert "goes on ('trackyard runs' lists it)" in result.stderr
    assert "/dags/Airflow_Lab2/runs/cli__" in result.stderr


def test_a_run_that_takes_too_long_goes_on(registry) -> None:
    registry.airflow.looks = [("running", [])]

    result = registry("run", "--timeout", "5")

    assert result.exit_code == 1
    assert "has not ended after 5 s; it goes on" in result.stderr


def test_an_airflow_that_stays_away_exits_with_3(registry) -> None:
    registry.airflow.away = 10**6

    result = registry("run")

    assert result.exit_code == 3
    assert "does not answer" in result.stderr
    assert "goes on" in result.stderr


def test_a_paused_dag_is_unpaused(registry) -> None:
    registry.airflow.paused = True

    result = registry("run", "--no-wait")

    assert not registry.airflow.paused
    assert "was paused" in result.stdout


def test_data_add_prints_the_address_alone(registry, tmp_path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("a,b\n1,2\n")

    result = registry("data", "add", str(file))

    assert result.stdout == "s3://trackyard/datasets/0af3/own.csv\n"
    assert registry("data", "add", "nowhere.csv").exit_code == 2


def test_an_address_for_a_stack_elsewhere_is_left_to_that_stack_where_its_bucket_is_not_reachable(registry) -> None:
    logins = {"AIRFLOW_ADMIN_PASSWORD": "one", "MLFLOW_ADMIN_PASSWORD": "two"}
    registry.environ |= {**logins, "TRACKYARD_ENV_FILE": "/nowhere"}

    result = registry("--remote", "http://server:8080", "run", "--data", "s3://team-data/own.csv", "--no-wait")

    assert result.exit_code == 0, result.stderr
    assert registry.airflow.triggered[0]["conf"]["data"] == "s3://team-data/own.csv"
