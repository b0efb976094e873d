"""What people script against in the DAGs, and what keeps them cheap to parse."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from ml.config import loading
from tests.support import ROOT

HEAVY = ("pandas", "numpy", "sklearn", "mlflow", "boto3", "flask", "matplotlib", "skops")
PARSE = """
import json, sys
sys.path[:0] = [{plugins!r}]
import airflow.sdk
import airflow.providers.standard.operators.hitl
import airflow.providers.standard.operators.trigger_dagrun
import airflow.providers.smtp.notifications.smtp
import airflow.triggers.base
before = set(sys.modules)
import importlib.util
from airflow.sdk.definitions._internal.contextmanager import DagContext
found = {{}}
for name in ("airflow_lab2", "airflow_lab2_flask"):
    spec = importlib.util.spec_from_file_location(name, {dags!r} + "/" + name + ".py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    DagContext.current_autoregister_module_name = name
    spec.loader.exec_module(module)
for dag, module in DagContext.autoregistered_dags:
    found[dag.dag_id] = {{
        "tasks": {{t.task_id: sorted(t.downstream_task_ids) for t in dag.tasks}},
        "timeouts": {{t.task_id: (t.execution_timeout and t.execution_timeout.total_seconds()) for t in dag.tasks}},
        "rules": {{t.task_id: t.trigger_rule.value for t in dag.tasks}},
        "mapped": [t.task_id for t in dag.tasks if t.is_mapped],
        "retries": {{t.task_id: t.retries for t in dag.tasks}},
        "teardowns": sorted(t.task_id for t in dag.tasks if t.is_teardown),
        "params": {{
            name: {{"default": param.value, "schema": param.schema, "description": param.description}}
            for name, param in ((name, dag.params.get_param(name)) for name in dag.params)
        }},
        "schedule": str(dag.schedule),
        "links": {{t.task_id: len(t.operator_extra_links) for t in dag.tasks}},
    }}
import copy
from types import SimpleNamespace
from airflow.sdk.definitions.param import process_params
(training,) = [dag for dag, _ in DagContext.autoregistered_dags if dag.dag_id == "Airflow_Lab2"]
handed = [
    process_params(
        SimpleNamespace(params=copy.deepcopy(training.params)), SimpleNamespace(params=None), conf,
        suppress_exception=False,
    )
    for conf in json.loads({sent!r})
]
heavy = sorted({{m.split(".")[0] for m in set(sys.modules) - before}} & set({heavy!r}))
from trackyard_rollout import RolloutTrigger
old = {{"rollout_id": "r", "model": "m", "champion": "3", "pause_s": 0.0}}
trigger = RolloutTrigger(**old).serialize()[1]
print("@@" + json.dumps({{"dags": found, "heavy": heavy, "handed": handed, "trigger": trigger}}, default=str))
"""
OWN = "s3://trackyard/datasets/own.csv"
SENT: tuple[dict[str, Any], ...] = ({}, {"data": None}, {"data": ""}, {"rows": 60.0, "config": {"data": {"uri": None}}})


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Both DAG files, parsed in a fresh process as Airflow does, for a pipeline file that names a data set."""
    plugins, dags = str(ROOT / "dags" / "plugins"), str(ROOT / "dags")
    code = PARSE.format(plugins=plugins, dags=dags, heavy=HEAVY, sent=json.dumps(SENT))
    file = tmp_path_factory.mktemp("own") / "pipeline.yaml"
    file.write_text((ROOT / "pipeline.yaml").read_text().replace('uri: ""', f"uri: {OWN}"))
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env |= {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "TRACKYARD_PIPELINE_FILE": str(file),
        "TRACKYARD_S3_BUCKET": "trackyard",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.rpartition("@@")[2])
    return {**found, "base": loading.load_config(file)}


def test_parsing_imports_nothing_heavy(parsed: dict[str, Any]) -> None:
    assert parsed["heavy"] == []


def test_a_rollout_that_the_previous_release_began_goes_on(parsed: dict[str, Any]) -> None:
    assert parsed["trigger"] == {"rollout_id": "r", "model": "m", "pause_s": 0.0, "champions": {"m": "3"}}


def test_tasks_and_their_order_are_as_agreed(parsed: dict[str, Any]) -> None:
    assert parsed["dags"]["Airflow_Lab2"]["tasks"] == {
        "load_data_task": ["data_preprocessing_task"],
        "data_preprocessing_task": ["separate_data_outputs_task"],
        "separate_data_outputs_task": ["build_save_model_task", "tune_candidate_task"],
        "tune_candidate_task": ["build_save_model_task"],
        "build_save_model_task": ["load_model_task"],
        "load_model_task": ["promote_model_task", "report_model_task"],
        "promote_model_task": ["approve_model_task", "close_run_task", "my_trigger_task", "send_email"],
        "report_model_task": ["close_run_task", "send_email"],
        "approve_model_task": ["close_run_task", "my_trigger_task", "send_email"],
        "send_email": [],
        "my_trigger_task": [],
        "close_run_task": [],
    }
    assert parsed["dags"]["Airflow_Lab2_Flask"]["tasks"] == {"start_Flask_API": []}


def test_every_task_has_a_timeout_and_retries(parsed: dict[str, Any]) -> None:
    for found in parsed["dags"].values():
        # A person is waited for as long as the run's configuration says.
        assert [task for task, timeout in found["timeouts"].items() if not timeout] in ([], ["approve_model_task"])
        assert all(retries >= 1 for retries in found["retries"].values())


def test_what_must_not_decide_a_run_is_a_teardown(parsed: dict[str, Any]) -> None:
    assert parsed["dags"]["Airflow_Lab2"]["teardowns"] == ["close_run_task", "send_email"]


def test_a_search_without_or_with_failed_candidates_does_not_stop_a_run(parsed: dict[str, Any]) -> None:
    rules = parsed["dags"]["Airflow_Lab2"]["rules"]

    assert rules["build_save_model_task"] == "none_failed"
    assert parsed["dags"]["Airflow_Lab2"]["mapped"] == ["tune_candidate_task"]


def test_addresses_are_refused_by_the_form_and_in_the_other_settings(parsed: dict[str, Any]) -> None:
    params = parsed["dags"]["Airflow_Lab2"]["params"]
    pattern = params["data"]["schema"]["pattern"]

    rules = params["config"]["schema"]["properties"]["data"]["properties"]["uri"]
    assert (rules["pattern"], rules["maxLength"]) == (pattern, 1000) == (pattern, params["data"]["schema"]["maxLength"])
    assert re.search(pattern, "s3://trackyard/datasets/x.csv")
    for address in ("file:///etc/passwd", "/etc/passwd", "http://127.0.0.1/x", "s3://other/x.csv"):
        assert not re.search(pattern, address)


def test_what_airflow_hands_to_the_first_task_is_what_the_form_says(parsed: dict[str, Any]) -> None:
    untouched, emptied, empty, odd = (loading.config_from_trigger(parsed["base"], each) for each in parsed["handed"])

    assert untouched == parsed["base"]
    assert untouched.data.uri == OWN
    assert [each.data.uri for each in (emptied, empty, odd)] == ["", "", ""]
    assert odd.data.generate.rows == 60


def test_an_approval_that_is_skipped_skips_nothing_after_it(parsed: dict[str, Any]) -> None:
    rules = parsed["dags"]["Airflow_Lab2"]["rules"]

    assert rules["approve_model_task"] == "all_success"
    assert rules["my_trigger_task"] == "none_failed"
    assert rules["send_email"] == rules["close_run_task"] == "all_done_setup_success"


def test_no_schedule_is_on_by_default(parsed: dict[str, Any]) -> None:
    assert {found["schedule"] for found in parsed["dags"].values()} == {"None"}


def test_the_form_has_typed_fields_with_defaults_and_descriptions(parsed: dict[str, Any]) -> None:
    params = parsed["dags"]["Airflow_Lab2"]["params"]

    assert all(param["schema"].get("type") for param in params.values())
    assert all(param["description"] for param in params.values())
    defaults = loading.form_defaults(parsed["base"])
    assert params["data"]["default"] == OWN
    for name, value in defaults.items():
        if name in params:
            assert params[name]["default"] == (value or None)


def test_the_form_and_the_configuration_know_the_same_fields(parsed: dict[str, Any]) -> None:
    fields = set(parsed["dags"]["Airflow_Lab2"]["params"])
    known = set(loading.form_defaults(loading.load_config(None))) - {"mail_to"}

    assert fields == known | {"config", "note"}


def test_every_step_links_to_mlflow(parsed: dict[str, Any]) -> None:
    links = parsed["dags"]["Airflow_Lab2"]["links"]

    assert {task for task, count in links.items() if count == 2} == set(links) - {"my_trigger_task"}


def test_errors_that_are_never_retried_exist() -> None:
    from ml import errors

    for name in ("BadInput", "Rejected", "Misconfigured", "Untrusted"):
        assert issubclass(getattr(errors, name), errors.PipelineError)
