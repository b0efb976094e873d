"""YAML of which what stands there is what is meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ml.config.loading import load_config, parse_assignments, resolve
from ml.config.schema import PipelineConfig
from ml.config.yaml_text import read_yaml
from ml.errors import Misconfigured


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "NO",
        "yes",
        "on",
        "y",
        "01067",
        "00",
        "+7",
        "1_000",
        "0x1F",
        "0o17",
        "12:30",
        "2020-01-31",
        "1e",
        "=",
        "nan",
        "<<",
    ],
)
def test_a_label_or_a_code_is_the_text_that_stands_there(text: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"data: {{positive: {text}}}\nschema: {{code: {{type: category, allowed: [{text}, x]}}}}\n")
    changes = parse_assignments([f"data.positive={text}", f"schema={{code: {{type: category, allowed: [{text}, x]}}}}"])

    for config in (load_config(file), resolve(PipelineConfig(), changes)):
        assert (config.data.positive, config.contract["code"].allowed) == (text, (text, "x"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-5", -5), ("0.5", 0.5), (".5", 0.5), ("1E5", 1e5), ("true", True), ("False", False), ("~", None)],
)
def test_what_json_has_is_what_it_is_in_json(text: str, value: object) -> None:
    assert resolve(PipelineConfig(), parse_assignments([f"data.positive={text}"])).data.positive == value


@pytest.mark.parametrize("name", ["2020", "true", "1.0", "no", "01", "null"])
def test_a_column_is_called_what_stands_there(name: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"schema:\n  {name}: {{type: number}}\n")

    assert list(load_config(file).contract) == [name]


@pytest.mark.parametrize("text", ["model: {name: a}\nmodel: {}\n", "data: {target: a, target: b}\n"])
def test_a_key_that_is_there_twice_is_told_rather_than_one_of_them_lost(text: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(text)

    with pytest.raises(Misconfigured, match="is there twice"):
        load_config(file)


def test_sections_may_be_taken_from_one_another(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text("schema:\n  a: &number {type: number, minimum: 0}\n  b: {<<: *number, minimum: 1}\n")

    found = load_config(file).contract

    assert (found["a"].minimum, found["b"].minimum, found["b"].type) == (0, 1, "number")


@pytest.mark.parametrize("text", ["1e-06", "1.0e-6", "0.000001"])
def test_small_numbers_are_numbers_however_they_are_written(text: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"model: {{parameters: {{tol: {text}}}}}")

    assert load_config(file).model.parameters.tol == 1e-6
    assert parse_assignments([f"model.parameters.tol={text}"]) == {"model": {"parameters": {"tol": 1e-6}}}
    assert parse_assignments(["model.name=v1e-6"]) == {"model": {"name": "v1e-6"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("Null", None), ("nUll", "nUll"), ("tRUE", "tRUE"), ("-0", 0), ("1.", 1.0), ("-1.5e+3", -1500.0),
        ("-.INF", float("-inf")), ("{a: , '1': [x]}", {"a": None, "1": ["x"]}),
    ],
)  # fmt: skip
def test_a_text_means_the_plain_value_that_stands_there(text: str, value: object) -> None:
    found = read_yaml(text)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["!!python/object/apply:os.getcwd []", "a: [1", "a: 1\n'a': 2", "1: a\n'1': b"])
def test_what_is_no_plain_yaml_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)
