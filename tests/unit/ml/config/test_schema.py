"""The keys of `pipeline.yaml`: what each may be, and that plain values keep all of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml.config.loading import parse_config, resolve
from ml.config.schema import ColumnRule, DataConfig, ModelConfig, NotificationConfig, PipelineConfig, Range
from tests.fakes import configured


def test_plain_values_read_back_as_the_same_configuration() -> None:
    config = resolve(PipelineConfig(), {"data": {"features": ["a", "b"], "positive": "yes"}, "schema": {}})

    assert parse_config(config.as_dict()) == config


@pytest.mark.parametrize("mode", ["auto", "approve", "manual"])
def test_the_mode_alone_is_enough(mode: str) -> None:
    base = configured(tolerance=0.25)

    assert resolve(base, {"promotion": mode}).promotion == base.promotion.model_copy(update={"mode": mode})
    assert PipelineConfig.model_validate({"promotion": mode}).promotion.mode == mode


def test_plain_values_have_the_names_of_the_file() -> None:
    plain = PipelineConfig().as_dict()

    assert "contract" not in plain
    assert plain["schema"]["Male"]["allowed"] == [0, 1]
    assert plain["preprocessing"]["scalers"] == ["minmax", "standard"]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"type": "number", "minimum": 1, "maximum": 1}, ""),
        ({"type": "integer", "maximum": -3}, ""),
        ({"type": "number", "minimum": 1.5, "maximum": 1}, "minimum 1.5 is above maximum 1"),
        ({"type": "string", "minimum": 0}, "its type is string: list what is allowed"),
    ],
)
def test_a_range_is_one_of_numbers_from_its_minimum_to_its_maximum(rule: dict[str, Any], told: str) -> None:
    if told:
        with pytest.raises(ValidationError, match=told):
            ColumnRule.model_validate(rule)
    else:
        assert ColumnRule.model_validate(rule).maximum == rule["maximum"]


@pytest.mark.parametrize(
    ("given", "is_allowed"),
    [
        ({"low": 2, "high": 2}, True),
        ({"low": -1, "high": 1}, True),
        ({"low": 0.1, "high": 1, "log": True}, True),
        ({"low": 2, "high": 1}, False),
        ({"low": 0, "high": 1, "log": True}, False),
    ],
)
def test_what_is_drawn_from_is_a_range_and_above_zero_where_its_logarithm_is(
    given: dict[str, Any], is_allowed: bool
) -> None:
    if is_allowed:
        assert Range.model_validate(given).low == given["low"]
    else:
        with pytest.raises(ValidationError, match="is no range"):
            Range.model_validate(given)


def test_missing_words_are_texts_as_they_would_stand_in_a_file() -> None:
    assert DataConfig.model_validate({"missing": ["?", -999, 0.5]}).missing == ("?", "-999", "0.5")
    assert DataConfig.model_validate({"missing": []}).missing == ()
    for wrong in ([True], [["?"]], "?"):
        with pytest.raises(ValidationError, match="missing"):
            DataConfig.model_validate({"missing": wrong})


@pytest.mark.parametrize("name", ["a", "v1.0_b-c", "x" * 100])
def test_a_model_may_be_called_so(name: str) -> None:
    assert ModelConfig(name=name).name == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "a b", "a/b", "a\n", "x" * 101])
def test_a_model_may_not_be_called_so(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        ModelConfig(name=name)


@pytest.mark.parametrize("address", ["a@b.c", "team+x@trackyard.local"])
def test_a_mail_address_is_taken(address: str) -> None:
    assert NotificationConfig(to=(address,)).to == (address,)


@pytest.mark.parametrize("address", ["", "a", "a@b@c", "a @b.c", "a@b.c,d@e.f", "a@b.c;", "A <a@b.c>"])
def test_what_is_no_single_mail_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="is no mail address"):
        NotificationConfig(to=(address,))


def test_of_an_unknown_estimator_only_itself_is_wrong() -> None:
    with pytest.raises(ValidationError) as caught:
        ModelConfig.model_validate({"estimator": "SVC", "parameters": {"gamma": 1}})

    assert [problem["loc"] for problem in caught.value.errors()] == [("estimator",)]
