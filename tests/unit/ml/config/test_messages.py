"""What is told of a configuration that is not allowed."""

from __future__ import annotations

from typing import Any

import pytest

from ml.config.loading import parse_assignments, resolve
from ml.config.messages import estimator_of, suggest
from ml.config.schema import PipelineConfig
from ml.errors import Misconfigured


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("split.test_size=abc", 'split.test_size is "abc"'),
        ("split.test_size=0", "greater than 0"),
        ("split.test_size=1", "less than 1"),
        ("split.test_size=.nan", "split.test_size is NaN"),
        ("split.random_state=true", "split.random_state is true"),
        ("split.random_state=1.5", "valid integer"),
        ("split.stratify=1", "--set: split.stratify is 1: should be true, false or auto"),
        ("notification.on_success=1", "valid boolean"),
        ("split=3", "split is 3: should be a section of keys"),
        ("split=null", "split is null"),
        ("split.test_sise=0.2", "unknown key split.test_sise (did you mean test_size?)"),
        ("splitt.test_size=0.2", "unknown key splitt (did you mean split?)"),
        ("model.parameters.penalty=l1", "unknown key model.parameters.penalty"),
        ("model.parameters.C=-1", "model.parameters.C is -1"),
        ("model.parameters.l1_ratio=0.5", "needs solver saga"),
        ("model.name=a/b", "model.name"),
        ("data.features=3", "data.features is 3: should be a list"),
        ("data.generate.rows=5", "greater than or equal to 20"),
        ("schema.Age.type=int", "schema.Age.type"),
        ("schema.Age={type: number, min: 1}", "did you mean minimum?"),
        ("schema.Age={type: number, minimum: 2, maximum: 1}", "minimum 2 is above maximum 1"),
        ("schema.City={type: category, minimum: 2}", "minimum and maximum are for numbers, and its type is category"),
        ("schema.Day={type: datetime, maximum: 2}", "minimum and maximum are for numbers, and its type is datetime"),
        ("promotion.metric=auc", "test_roc_auc"),
        ("preprocessing.scalers=[minmax, robust]", "robust"),
        ("notification.to=[nobody]", "'nobody' is no mail address"),
        ('notification.to=["a@b.c\\nBcc: x@y.z"]', "is no mail address"),
        ("preprocessing.scalers=[minmax, minmax]", "names a scaler twice"),
        ("data.target=5", "data.target is 5: should be text (a number goes in quotes)"),
        ("data.positive=.nan", "--set: data.positive is NaN: should be text, a finite number, true or false"),
        ("schema.list={type: x}", 'schema.list.type is "x"'),
        ("data.max_bytes=1e300", "less than or equal to 1000000000000000"),
        ("model.estimator=[RandomForestClassifier]", 'model.estimator is ["RandomForestClassifier"]: input should be'),
        ("model.estimator=", "model.estimator is null: input should be 'LogisticRegression'"),
        ("model.parameters=", "--set: model.parameters is null: should be a section of keys"),
        ("model={estimator: RandomForestClassifier, parameters: {min_samples_leaf: 1e30}}", "less than or equal to"),
        ("preprocessing.min_frequency=0", "min_frequency is 0: input should be greater than or equal to 1 or 'auto'"),
        ("tune.parameters={model.parameters.C: {low: a, high: 2}}", 'parameters.C.low is "a": input should be a valid'),
        ("tune.parameters={model.parameters.C: {low: 1}}", "tune.parameters.model.parameters.C.high: field required"),
        ("tune.parameters={model.parameters.C: {low: 1, high: 2, list: 3}}", "tune.parameters.model.parameters.C.list"),
        ("tune.range=1", "unknown key tune.range (known: candidates"),
        ("data.list=1", "unknown key data.list (known: csv"),
        ("schema.5={type: number, int: 1}", "unknown key schema.5.int (known: allowed"),
        ("model={estimator: RandomForestClassifier, parameters: {max_leaf_nodes: 1e9}}", "less than or equal to"),
    ],
)
def test_what_is_not_allowed_is_named(assignment: str, told: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        resolve(PipelineConfig(), parse_assignments([assignment]), "--set")

    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("test_sise", ["folds", "test_size"], " (did you mean test_size?)"),
        ("min", ["maximum", "minimum"], " (did you mean minimum?)"),
        ("zzz", ["b", "a"], " (known: a, b)"),
        ("zzz", [], ""),
    ],
)
def test_a_hint_is_the_nearest_name_or_all_of_them(name: str, known: list[str], hint: str) -> None:
    assert suggest(name, known) == hint


@pytest.mark.parametrize(
    ("sections", "expected"),
    [({"model": {"estimator": "B"}}, "B"), ({"model": {"name": "m"}}, "A"), ({"model": "B"}, "A"), ({}, "A")],
)
def test_the_estimator_is_the_one_that_is_named_or_the_one_that_counts(sections: dict[str, Any], expected: str) -> None:
    assert estimator_of(sections, "A") == expected


def test_of_a_long_value_the_beginning_is_shown() -> None:
    with pytest.raises(Misconfigured) as caught:
        resolve(PipelineConfig(), {"model": {"name": "x" * 200}})

    assert f'model.name is "{"x" * 79}: should be letters, digits' in str(caught.value)
