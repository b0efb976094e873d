"""Bad input ends in one clear message in the command line, the task's log and the mail; nothing is registered."""

from __future__ import annotations

import html
from pathlib import Path

import pandas as pd
import pytest

from ml import steps
from ml.errors import BadInput
from tests.integration.conftest import Trained
from tests.support import PIPELINE, RunningStack


def _table(advertising: Path) -> pd.DataFrame:
    return pd.read_csv(advertising).head(100)


def _missing_column(table: pd.DataFrame) -> bytes:
    return table.drop(columns="Age").to_csv(index=False).encode()


def _one_class(table: pd.DataFrame) -> bytes:
    return table.assign(**{"Clicked on Ad": 1}).to_csv(index=False).encode()


def _missing_target(table: pd.DataFrame) -> bytes:
    changed = table.astype({"Clicked on Ad": float})
    changed.loc[3, "Clicked on Ad"] = None
    return changed.to_csv(index=False).encode()


def _wrong_type(table: pd.DataFrame) -> bytes:
    changed = table.astype({"Age": object})
    changed.loc[5, "Age"] = "old"
    return changed.to_csv(index=False).encode()


def _twice(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False).replace("Country", "Age", 1).encode()


CASES = {
    "missing_column": (_missing_column, "'Age' is missing"),
    "duplicated_column": (_twice, "'Age' is there twice"),
    "wrong_type": (_wrong_type, "'old'"),
    "one_class": (_one_class, "not two"),
    "missing_target": (_missing_target, "missing values"),
    "utf_16": (lambda table: table.to_csv(index=False).encode("utf-16"), "UTF-16"),
    "broken_bytes": (lambda table: table.to_csv(index=False).encode().replace(b"Tunisia", b"T\xff\xfe"), "not UTF-8"),
    "empty": (lambda table: b"", "is empty"),
    "header_only": (lambda table: table.head(0).to_csv(index=False).encode(), "no rows"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_data_fails_at_once_with_one_clear_message(
    running: RunningStack, real_run: Trained, advertising: Path, tmp_path: Path, case: str
) -> None:
    spoil, expected = CASES[case]
    file = tmp_path / f"{case}.csv"
    file.write_bytes(spoil(_table(advertising)))
    champion, versions = running.champion(), len(running.versions())

    done = running.cli("run", "--data", str(file))

    assert done.returncode in (1, 2), done.stdout
    assert expected in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (running.champion(), len(running.versions())) == (champion, versions)
    # Some of it the command line sees by itself, before anything is triggered.
    ours = [
        run for run in running.airflow.dag_runs(PIPELINE, limit=5) if run["dag_run_id"] in done.stdout + done.stderr
    ]
    for run in ours:
        run_id = run["dag_run_id"]
        assert running.finished(run_id) == "failed"
        task = running.tasks(run_id)["load_data_task"]
        assert (task["state"], task["try_number"]) == ("failed", 1)
        log = "\n".join(running.airflow.task_log(PIPELINE, run_id, "load_data_task", 1))
        assert expected in log
        assert expected in html.unescape(running.mail_about(run_id)[1])
        assert running.mlflow_run(run_id).info.status == "FAILED"


def test_a_file_over_the_limit_is_refused(running: RunningStack, real_run: Trained, advertising: Path) -> None:
    done = running.cli("run", "--data", str(advertising), "--set", "data.max_bytes=1000")

    assert done.returncode in (1, 2)
    assert "max_bytes" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "split.test_sise=0.2"], "did you mean test_size"),
        (["--set", "split.test_size=2"], "split.test_size"),
        (["--set", "nonsense"], "KEY=VALUE"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--data", "file:///etc/passwd"], "s3://"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_wrong_words_are_refused_before_anything_runs(
    running: RunningStack, arguments: list[str], expected: str
) -> None:
    before = len(running.airflow.dag_runs(PIPELINE, limit=100))

    done = running.cli("run", *arguments)

    assert done.returncode == 2, done.stdout
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert len(running.airflow.dag_runs(PIPELINE, limit=100)) == before


def test_an_unknown_key_in_the_form_fails_the_run_with_its_name(running: RunningStack, real_run: Trained) -> None:
    assert running.run("unknown_key", config={"split": {"test_sise": 0.2}}) == "failed"

    assert "did you mean test_size" in running.mail_about("unknown_key")[1]
    assert running.tasks("unknown_key")["load_data_task"]["try_number"] == 1


def test_a_missing_object_fails_the_run_with_its_address(running: RunningStack, real_run: Trained) -> None:
    assert running.run("no_object", data="s3://trackyard/datasets/none.csv") == "failed"

    assert "s3://trackyard/datasets/none.csv does not exist" in running.mail_about("no_object")[1]


@pytest.mark.parametrize(
    "address",
    [
        "s3://other-bucket/data.csv", "s3://trackyard/../secrets.csv", "file:///etc/passwd", "/etc/passwd",
        "http://127.0.0.1/x.csv", "http://2130706433/x.csv", "http://[::1]/x.csv", "https://169.254.169.254/latest",
    ],
)  # fmt: skip
def test_other_places_are_refused_before_a_run_begins(running: RunningStack, address: str) -> None:
    before = len(running.airflow.dag_runs(PIPELINE, limit=100))

    for params in ({"data": address}, {"config": {"data": {"uri": address}}}):
        with pytest.raises(BadInput, match="does not match"):
            running.trigger("refused", **params)
    if "://" in address:
        # A path is a file of the one who types it, which the command line puts into the bucket.
        done = running.cli("run", "--data", address)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
    assert len(running.airflow.dag_runs(PIPELINE, limit=100)) == before


@pytest.mark.parametrize("address", ["s3://other-bucket/x.csv", "http://127.0.0.1/x.csv", "file:///etc/passwd"])
def test_the_task_refuses_what_the_form_let_through(running: RunningStack, address: str) -> None:
    run_id = f"refused_{address.partition(':')[0]}"

    with pytest.raises(BadInput):
        steps.load(PIPELINE, run_id, {"data": address})

    assert running.mlflow_run(run_id).data.tags["error.type"] == "BadInput"


@pytest.mark.parametrize("field", [{"test_size": "abc"}, {"test_size": 2}, {"rows": 1}, {"model_name": "../x"}])
def test_the_form_refuses_values_that_are_not_allowed(running: RunningStack, field: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=next(iter(field))):
        running.trigger("never_runs", **field)
