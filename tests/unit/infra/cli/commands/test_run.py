"""`trackyard run` and `data add`: what is sent, what is followed, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

RUN_ID = "cli__2026-01-31T09-30-15.000Z__"


@pytest.fixture
def recorded(registry) -> Any:
    """A run in MLflow for whatever DAG run is triggered: `recorded(tags, metrics, registered)` writes it."""
    from ml.tracking.runs import run_key

    def write(tags: dict[str, str], metrics: dict[str, float] | None = None, *, registered: bool = False) -> None:
        trigger = registry.airflow.trigger

        def triggered(dag_id: str, conf: dict[str, Any], run_id: str, note: str | None = None) -> dict[str, Any]:
            tracker = registry.tracker
            key = run_key(dag_id, run_id)
            run = tracker.create_run("0", tags={"run_key": key, **tags})
            for name, value in (metrics or {}).items():
                tracker.log_metric(run.info.run_id, name, value)
            if registered:
                tracker.create_registered_model("ad-click")
                tracker.create_model_version("ad-click", "file:///x", run.info.run_id, tags={"run_key": key})
            return trigger(dag_id, conf, run_id, note)

        registry.airflow.trigger = triggered

    registry.record = write
    return registry


def test_a_run_prints_tasks_metrics_version_and_links(recorded) -> None:
    tags = {"promotion.champion": "true", "promotion.reason": "there was none yet"}
    recorded.record(tags, {"test_f1": 0.97, "train_f1": 0.98}, registered=True)
    recorded.airflow.looks = [
        ("running", [recorded.task("load_data_task", "success", 0.4), recorded.task("promote_model_task", "running")]),
        (
            "success",
            [recorded.task("load_data_task", "success", 0.4), recorded.task("promote_model_task", "success", 1.2, 2)],
        ),
    ]

    result = recorded("run")

    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert result.exit_code == 0, result.stderr
    assert lines[0].startswith(f"run {RUN_ID}")
    assert lines[1:3] == ["load_data_task success 0.4 s", "promote_model_task success 1.2 s (try 2)"]
    assert "success after 8.5 s" in lines
    assert "f1 0.970000 - 0.980000" in lines
    assert "model ad-click version 1" in lines
    assert "champion yes: there was none yet" in lines
    assert any(line.startswith("airflow http://127.0.0.1:8080/dags/Airflow_Lab2/runs/cli__") for line in lines)
    assert any(line.startswith("mlflow http://127.0.0.1:5000/#/experiments/0/runs/") for line in lines)
    assert "version http://127.0.0.1:5000/#/models/ad-click/versions/1" in lines
    assert "service http://127.0.0.1:5555" in lines


def test_a_run_as_json_has_the_documented_shape(recorded) -> None:
    recorded.record({"promotion.champion": "false"}, {"test_f1": 0.97}, registered=True)

    result = recorded("run", "--json")

    found = json.loads(result.stdout)
    assert found.pop("dag_run_id").startswith(RUN_ID)
    assert found == {
        "state": "success",
        "duration_s": 8.5,
        "tasks": [{"task_id": "load_data_task", "state": "success", "duration_s": 0.5}],
        "model": {"name": "ad-click", "version": "1", "champion": False},
        "metrics": {"test_f1": 0.97},
    }


def test_a_failed_run_says_what_the_task_recorded(recorded) -> None:
    recorded.record({"error.task": "load_data_task", "error.message": "column 'Age' is missing"})
    recorded.airflow.looks = [("failed", [recorded.task("load_data_task", "failed")])]

    result = recorded("run")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "trackyard: load_data_task failed: column 'Age' is missing"
    assert "/dags/Airflow_Lab2/runs/" in result.stderr


def test_a_failed_run_is_json_too(recorded) -> None:
    recorded.airflow.looks = [("failed", [recorded.task("load_data_task", "failed")])]

    result = recorded("run", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (found["state"], found["model"]) == ("failed", {"name": None, "version": None, "champion": False})


def test_a_task_that_recorded_nothing_is_told_from_its_log(recorded) -> None:
    recorded.airflow.looks = [
        ("failed", [recorded.task("train", "upstream_failed", None), recorded.task("load_data_task", "failed")])
    ]
    recorded.airflow.log = ["starting", "MemoryError: out of memory", "done"]

    result = recorded("run")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[:2] == [
        "trackyard: load_data_task failed; its log says:",
        "  MemoryError: out of memory",
    ]


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


def test_a_run_whose_metrics_cannot_be_read_is_told_apart(cli) -> None:
    from mlflow.exceptions import MlflowException

    class Away:
        def search_experiments(self, **_: object) -> list[object]:
            raise MlflowException("API request to /x failed: Max retries exceeded")

    cli.tracker = Away()

    result = cli("run")

    assert result.exit_code == 3
    assert "success after" in result.stdout
    assert "succeeded, but its metrics could not be read" in result.stderr


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
