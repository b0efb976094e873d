"""What pipeline.yaml, --set and the trigger form may say, and what comes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml.config.estimators import ALLOWED, DEFAULT
from ml.config.loading import (
    PipelineConfig,
    base_config,
    config_from_trigger,
    flatten,
    form_defaults,
    load_config,
    parse_assignments,
    resolve,
)
from ml.errors import Misconfigured

ROOT = Path(__file__).resolve().parents[4]


def test_the_packaged_defaults_equal_the_pipeline_file() -> None:
    assert load_config(ROOT / "pipeline.yaml") == load_config(None)


def test_the_pipeline_file_names_every_key() -> None:
    import yaml

    written = yaml.safe_load((ROOT / "pipeline.yaml").read_text(encoding="utf-8"))
    expected = PipelineConfig().as_dict()

    def keys(value: Any, prefix: str = "") -> set[str]:
        if not isinstance(value, dict) or prefix == "schema":
            return {prefix}
        return {key for name, inner in value.items() for key in keys(inner, f"{prefix}.{name}" if prefix else name)}

    assert keys(written) == keys(expected)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(Misconfigured, match=r"split\.test_size .*; .*split\.random_state"):
        resolve(PipelineConfig(), {"split": {"test_size": "x", "random_state": "y"}})


@pytest.mark.parametrize("word", ["nonsense", "=x", "a..b=1", ".a=1", "x=[1"])
def test_a_word_that_is_no_assignment_is_refused(word: str) -> None:
    with pytest.raises(Misconfigured):
        parse_assignments([word])


def test_assignments_are_read_as_yaml_and_merged() -> None:
    found = parse_assignments(["split.test_size=0.2", "split.stratify=true", "data.drop=[a, b]", "data.uri=s3://b/k=v"])

    assert found == {
        "split": {"test_size": 0.2, "stratify": True},
        "data": {"drop": ["a", "b"], "uri": "s3://b/k=v"},
    }


def test_a_column_name_may_hold_dots() -> None:
    assert parse_assignments(["schema.a.b.type=number"]) == {"schema": {"a.b": {"type": "number"}}}


def test_a_new_contract_replaces_the_old_one() -> None:
    config = resolve(PipelineConfig(), {"schema": {"x": {"type": "number"}}})

    assert list(config.contract) == ["x"]


def test_a_date_that_yaml_made_is_the_text_that_was_written() -> None:
    config = resolve(PipelineConfig(), parse_assignments(["data.positive=2020-01-31"]))

    assert config.data.positive == "2020-01-31"


def test_the_trigger_form_overrides_the_defaults_and_config_overrides_the_form() -> None:
    params = {
        "data": "s3://bucket/key.csv", "rows": 50, "test_size": 0.2, "random_state": 1, "C": 2, "max_iter": 5,
        "model_name": "other", "note": "anything", "config": {"split": {"test_size": 0.4}},
    }  # fmt: skip

    config = config_from_trigger(PipelineConfig(), params)

    assert config.data.uri == "s3://bucket/key.csv"
    assert config.data.generate.rows == 50
    assert (config.split.test_size, config.split.random_state) == (0.4, 1)
    assert (config.model.name, config.model.parameters.C, config.model.parameters.max_iter) == ("other", 2.0, 5)


@pytest.mark.parametrize(
    "params", [{"C": "abc"}, {"C": True}, {"foo": 1}, {"config": [1]}, {"config": "x"}, {"test_size": 1}, {"rows": 1.5}]
)
def test_a_wrong_trigger_field_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(Misconfigured):
        config_from_trigger(PipelineConfig(), params)


def _form(base: PipelineConfig, **changed: object) -> dict[str, object]:
    """What Airflow hands to the first task: the form's defaults, and over them what somebody sent."""
    fields = {name: value for name, value in form_defaults(base).items() if name != "mail_to"}
    return {**fields, "data": fields["data"] or None, "config": {}, "note": None, **changed}


OWN = resolve(PipelineConfig(), {"data": {"uri": "s3://bucket/own.csv"}})


@pytest.mark.parametrize("emptied", [None, ""])
def test_the_emptied_data_set_is_the_generated_one_whatever_the_file_names(emptied: str | None) -> None:
    assert config_from_trigger(OWN, _form(OWN, data=emptied)).data.uri == ""


def test_a_data_set_that_nobody_touched_is_that_of_the_file() -> None:
    asked = {"config": {"data": {"max_rows": 100}}}

    assert config_from_trigger(OWN, _form(OWN)) == OWN
    assert config_from_trigger(OWN, _form(OWN, **asked)).data.uri == "s3://bucket/own.csv"
    assert config_from_trigger(OWN, asked).data.uri == "s3://bucket/own.csv"
    assert resolve(OWN, parse_assignments(["data.max_rows=100"])).data.uri == "s3://bucket/own.csv"


def test_an_address_of_nothing_is_the_generated_data_set_by_every_way(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text("data:\n  uri:\n")

    assert load_config(file) == PipelineConfig()
    assert resolve(OWN, parse_assignments(["data.uri="])).data.uri == ""
    assert config_from_trigger(OWN, _form(OWN, config={"data": {"uri": None}})).data.uri == ""


@pytest.mark.parametrize("base", ["LogisticRegression", "RandomForestClassifier"])
def test_the_estimator_of_the_form_takes_its_parameters_from_the_other_settings(base: str) -> None:
    defaults = resolve(PipelineConfig(), {"model": {"estimator": base}})
    forest = {"estimator": "RandomForestClassifier", "config": {"model": {"parameters": {"n_estimators": 7}}}}

    config = config_from_trigger(defaults, _form(defaults, **forest))
    turned = config_from_trigger(defaults, _form(defaults, config={"model": {"estimator": "LogisticRegression"}}))

    assert (config.model.estimator, config.model.parameters.n_estimators) == ("RandomForestClassifier", 7)
    assert (turned.model.estimator, turned.model.parameters.C) == ("LogisticRegression", 1.0)


def _keys(schema: dict[str, Any], at: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The dotted keys of a JSON schema and what it says of each; the sections that they refer to are followed."""
    at = schema["$defs"][at["$ref"].rpartition("/")[2]] if "$ref" in at else at
    for name, found in at.get("properties", {}).items():
        key = f"{prefix}.{name}" if prefix else name
        yield key, found
        yield from _keys(schema, found, key)
    for option in at.get("anyOf", []):
        yield from _keys(schema, option, prefix)


def test_a_whole_float_is_a_whole_number_in_every_integer_key_by_every_way(tmp_path: Path) -> None:
    schema, file = PipelineConfig.model_json_schema(by_alias=True), tmp_path / "pipeline.yaml"
    found = dict(_keys(schema, schema))
    kinds = {key: {each.get("type") for each in (at, *at.get("anyOf", []))} for key, at in found.items()}
    whole = {key for key, kind in kinds.items() if "integer" in kind and "number" not in kind}
    assert {"data.generate.rows", "split.random_state", "tune.folds", "promotion.gate.min_rows"} <= whole

    for key in whole:
        name, number = key.rpartition(".")[2], max(20, found[key].get("minimum", 20))
        takes = next((each for each, kind in ALLOWED.items() if name in kind.model_fields), DEFAULT)
        chosen = [f"model.estimator={takes}"] if key.startswith("model.parameters.") else []
        expected = flatten(resolve(PipelineConfig(), parse_assignments([*chosen, f"{key}={number}"])))
        for written in (f"{number}.0", f"{number / 10:g}e1"):
            changes = parse_assignments([*chosen, f"{key}={written}"])
            file.write_text(json.dumps(changes))
            assert f": {number}.0" in file.read_text()
            assert flatten(resolve(PipelineConfig(), changes)) == expected
            assert flatten(load_config(file)) == expected
            assert flatten(config_from_trigger(PipelineConfig(), {"config": changes})) == expected
        with pytest.raises(Misconfigured, match="valid integer"):
            resolve(PipelineConfig(), parse_assignments([*chosen, f"{key}={number}.5"]))


def test_the_whole_floats_of_the_form_are_whole_numbers() -> None:
    config = config_from_trigger(PipelineConfig(), _form(PipelineConfig(), rows=60.0, random_state=7.0, max_iter=50.0))

    assert (flatten(config)["data.generate.rows"], flatten(config)["split.random_state"]) == ("60", "7")
    assert flatten(config)["model.parameters.max_iter"] == "50"


def test_an_empty_form_leaves_the_defaults() -> None:
    assert config_from_trigger(PipelineConfig(), {"C": None, "config": None, "note": ""}) == PipelineConfig()


def test_the_form_defaults_are_a_trigger_that_changes_nothing() -> None:
    defaults = form_defaults(PipelineConfig())
    del defaults["mail_to"]

    assert config_from_trigger(PipelineConfig(), defaults) == PipelineConfig()


def test_flatten_gives_dotted_keys_and_text() -> None:
    flat = flatten(PipelineConfig())

    assert flat["split.test_size"] == "0.3"
    assert flat["model.parameters.C"] == "1.0"
    assert flat["data.drop"] == '["Ad Topic Line", "City", "Country", "Timestamp"]'
    assert all(isinstance(value, str) for value in flat.values())


@pytest.mark.parametrize(
    ("content", "told"), [(b"a: [1\n", "is not YAML"), (b"- 1\n", "holds a list"), (b"\xff\xfea", "cannot be read")]
)
def test_a_broken_file_is_told_in_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(content)

    with pytest.raises(Misconfigured, match=told) as caught:
        load_config(path)

    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="does not exist"):
        load_config(tmp_path / "none.yaml")


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("# nothing\n")

    assert load_config(path) == PipelineConfig()


def test_one_word_about_a_rule_leaves_the_rest_of_the_contract() -> None:
    base = load_config(None)

    changed = resolve(base, parse_assignments(["schema.Age.maximum=50"]))

    assert changed.contract["Age"].maximum == 50
    assert changed.contract["Age"].type == base.contract["Age"].type
    assert set(changed.contract) == set(base.contract)


def test_a_whole_contract_replaces_the_old_one() -> None:
    changed = resolve(load_config(None), {"schema": {"x": {"type": "number"}}})

    assert set(changed.contract) == {"x"}
    assert resolve(changed, {"schema": {}}).contract == {}


def test_the_defaults_are_those_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    assert base_config(None) == base_config(file) == PipelineConfig()

    for seed in (1, 2):
        file.write_text(f"split: {{random_state: {seed}}}")
        os.utime(file, ns=(seed, seed))
        assert base_config(file).split.random_state == seed

    file.unlink()
    assert base_config(str(file)) == PipelineConfig()
