"""Which candidates a search has, and what it may not try."""

from __future__ import annotations

from typing import Any

import pytest

from ml.config import search_space
from ml.config.loading import flatten, parse_assignments, parse_config, resolve
from ml.config.schema import PipelineConfig
from ml.errors import Misconfigured


def searching(**tune: Any) -> PipelineConfig:
    return resolve(PipelineConfig(), {"tune": tune})


def test_without_a_search_there_are_no_candidates() -> None:
    assert search_space.candidates(PipelineConfig().tune) == []


def test_a_grid_has_every_combination_in_order() -> None:
    config = searching(
        method="grid", parameters={"model.parameters.C": [0.1, 10], "preprocessing.scalers": [["minmax"], []]}
    )

    found = search_space.candidates(config.tune)

    assert [each["model.parameters.C"] for each in found] == [0.1, 0.1, 10, 10]
    assert parse_config(config.as_dict()) == config
    settled = [resolve(config, search_space.nested(each)) for each in found]
    assert [each.preprocessing.scalers for each in settled] == [("minmax",), (), ("minmax",), ()]
    assert {each.tune.method for each in settled} == {"none"}


def test_random_draws_keep_to_their_ranges_and_to_the_seed() -> None:
    parameters = {
        "model.parameters.C": {"low": 0.001, "high": 1000, "log": True},
        "model.parameters.max_iter": {"low": 100, "high": 200},
    }
    config = searching(method="random", candidates=40, parameters=parameters)

    found = search_space.candidates(config.tune)

    assert len(found) == 40
    assert found == search_space.candidates(config.tune)
    assert all(0.001 <= each["model.parameters.C"] <= 1000 for each in found)
    assert sum(each["model.parameters.C"] < 1 for each in found) in range(8, 33)
    assert all(isinstance(each["model.parameters.max_iter"], int) for each in found)
    other = searching(method="random", candidates=40, random_state=1, parameters=parameters)
    assert found != search_space.candidates(other.tune)


def test_the_same_draw_is_tried_once() -> None:
    config = searching(method="random", candidates=20, parameters={"preprocessing.impute": ["mean", "median"]})

    assert len(search_space.candidates(config.tune)) == 2


@pytest.mark.parametrize(
    ("tune", "told"),
    [
        ({"method": "grid"}, "tune.parameters is empty"),
        ({"method": "grid", "parameters": {"model.parameters.C": [1, -1]}}, "candidate 1 of tune: model.parameters.C"),
        ({"method": "grid", "parameters": {"data.uri": ["s3://x/y"]}}, "cannot be tuned"),
        ({"method": "grid", "parameters": {"model.name": ["x"]}}, "cannot be tuned"),
        ({"method": "grid", "parameters": {"model.parameters.depth": [1]}}, "unknown key model.parameters.depth"),
        ({"method": "grid", "parameters": {"model.parameters.C": {"low": 1, "high": 2}}}, "is a range"),
        ({"method": "grid", "candidates": 2, "parameters": {"model.parameters.C": [1, 2, 3]}}, "makes 3 combinations"),
        ({"method": "random", "parameters": {"model.parameters.C": {"low": 2, "high": 1}}}, "is no range"),
        ({"method": "random", "parameters": {"model.parameters.C": {"low": 0, "high": 1, "log": True}}}, "above 0"),
        ({"method": "grid", "parameters": {"model.parameters.C": []}}, "tune.parameters.model.parameters.C"),
        ({"method": "best"}, "tune.method"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_anything_runs(tune: dict[str, Any], told: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        searching(**tune)

    assert told in str(caught.value)


def test_set_takes_what_is_tuned_by_its_dotted_key() -> None:
    config = resolve(PipelineConfig(), parse_assignments(["tune.parameters.model.parameters.C=[1, 2]"]))

    assert flatten(config)["tune.parameters.model.parameters.C"] == "[1, 2]"
