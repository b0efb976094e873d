"""The gate on the data that we have: what it lets through, and what it catches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.config.loading import resolve
from ml.config.schema import PipelineConfig
from ml.gate.judge import judge
from ml.gate.verdict import Champion, Evidence, Verdict
from tests.fakes import beside, configured, seen

TARGET = "Clicked on Ad"


USAGE, TIME = "Daily Internet Usage", "Daily Time Spent on Site"


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if check.status == "failed"]


def noisy(frame: pd.DataFrame, share: float) -> pd.DataFrame:
    flipped = np.random.default_rng(3).random(len(frame)) < share
    return frame.assign(**{TARGET: np.where(flipped, 1 - frame[TARGET], frame[TARGET])})


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return frame.assign(**{c: rng.permutation(frame[c].to_numpy()) for c in frame.columns if c != TARGET})


def test_the_default_data_passes_with_the_default_gate(data: pd.DataFrame) -> None:
    verdict = judge(seen(data), PipelineConfig())

    assert verdict.passed
    assert [check.status for check in verdict.checks] == ["passed"] * 3
    assert (verdict.rows, verdict.gain, verdict.compared) == (300, None, None)


def test_the_same_again_is_not_worse_than_the_champion(data: pd.DataFrame) -> None:
    here = seen(data)

    verdict = judge(beside(here, here), PipelineConfig())

    assert verdict.passed
    assert (verdict.gain, verdict.compared) == (0.0, "7")


def test_label_noise_is_caught_by_a_threshold(data: pd.DataFrame) -> None:
    config = configured(gate={"thresholds": {"test_accuracy": 0.9}})

    assert judge(seen(data), config).passed
    assert failed(judge(seen(noisy(data, 0.25)), config)) == ["threshold of test_accuracy"]


def test_labels_that_are_all_noise_are_caught_by_default(data: pd.DataFrame) -> None:
    verdict = judge(seen(noisy(data, 0.5)), PipelineConfig())

    assert failed(verdict) == ["better than a dummy"]
    assert "no better than the 0.5 of a dummy classifier" in verdict.reasons[0]


def ranked(target: list[int], scores: list[float]) -> Evidence:
    """What a run finds whose model says these scores of held-out rows."""
    features = pd.DataFrame({"x": np.zeros(len(target))})
    known = features.assign(**{"\0target": target})
    return Evidence(
        features, np.array(target, dtype=float), np.array(scores), None, known, features, total=10 * len(target)
    )


@pytest.mark.parametrize(
    ("positives", "rows", "scores", "status"),
    [
        (1, 300, "best", "passed"),
        (1, 30, "best", "unsure"),
        (1, 300, "good", "unsure"),
        (3, 300, "good", "unsure"),
        (50, 300, "good", "passed"),
        (3, 300, "bad", "failed"),
        (50, 300, "none", "failed"),
        (299, 300, "best", "passed"),
        (298, 300, "good", "unsure"),
    ],
)
def test_a_dummy_is_beaten_or_the_rows_are_too_few(positives: int, rows: int, scores: str, status: str) -> None:
    target = [1] * positives + [0] * (rows - positives)
    rarer = min(positives, rows - positives)
    of_rarer = np.linspace(*{"best": (2, 3), "good": (0.6, 0.9), "bad": (0.1, 0.4), "none": (0.4, 0.6)}[scores], rarer)
    of_others = np.linspace(0, 1, rows - rarer)
    said = np.concatenate([of_rarer, of_others]) if rarer == positives else -np.concatenate([of_others, of_rarer])

    verdict = judge(ranked(target, said.tolist()), PipelineConfig())
    (check,) = [each for each in verdict.checks if each.name == "better than a dummy"]
    strict = judge(ranked(target, said.tolist()), configured(gate={"unsure": "fail", "leak": None}))

    assert check.status == status
    assert ("the sample is too small" in check.words) == (status == "unsure")
    assert strict.passed == (status == "passed")


def test_label_noise_in_training_is_caught_by_the_champion(data: pd.DataFrame) -> None:
    candidate = seen(data, taught=noisy(data, 0.3))

    assert failed(judge(beside(candidate, seen(data)), PipelineConfig())) == ["not worse than the champion"]


@pytest.mark.parametrize("kind", ["number", "almost", "category", "missing"])
def test_a_leaked_target_is_caught(data: pd.DataFrame, kind: str) -> None:
    rng = np.random.default_rng(1)
    target = data[TARGET]
    leak = {
        "number": target * 10.0 + rng.random(len(data)),
        "almost": np.where(rng.random(len(data)) < 0.001, 1 - target, target).astype(float),
        "category": np.where(target == 1, "billed", "free"),
        "missing": np.where(target == 1, 5.0, np.nan),
    }[kind]
    rule = {"type": "category" if kind == "category" else "number", "nullable": True}
    config = resolve(PipelineConfig(), {"schema": {"Invoice": rule, **PipelineConfig().as_dict()["schema"]}})

    verdict = judge(seen(data.assign(Invoice=leak), config), config)

    assert failed(verdict) == ["no leaked target"]
    assert "'Invoice' alone tells the target" in verdict.reasons[0]


def test_a_leak_can_be_allowed(data: pd.DataFrame) -> None:
    config = resolve(
        PipelineConfig(),
        {
            "schema": {**PipelineConfig().as_dict()["schema"], "Invoice": {"type": "number"}},
            "promotion": {"gate": {"leak": None}},
        },
    )

    assert judge(seen(data.assign(Invoice=data[TARGET] * 1.0), config), config).passed


def test_columns_that_were_each_shuffled_are_caught(data: pd.DataFrame) -> None:
    assert failed(judge(seen(shuffled(data)), PipelineConfig())) == ["better than a dummy"]


def test_columns_that_changed_places_are_caught_by_contract_and_direction(data: pd.DataFrame) -> None:
    swapped = data.rename(columns={"Age": "Area Income", "Area Income": "Age"})
    assert "data contract" in failed(judge(seen(swapped), PipelineConfig()))

    # Both are minutes a day, so the contract holds; what is declared of the age does not.
    config = configured(gate={"behaviour": [{"check": "direction", "column": "Age", "effect": "up"}]})
    assert judge(seen(data), config).passed
    moved = data.assign(Age=(data[USAGE] / 3).astype(int), **{USAGE: data["Age"] * 3.0})
    assert failed(judge(seen(moved), config)) == ["direction of Age"]


def test_a_shrunken_data_set_is_caught(data: pd.DataFrame) -> None:
    small = seen(data.head(300))

    verdict = judge(beside(small, seen(data)), PipelineConfig())

    assert failed(verdict) == ["size of the data"]
    assert "300 rows, 30% of the 1,000 of champion version 7" in verdict.reasons[0]
    assert judge(beside(small, seen(data)), configured(gate={"shrink": None})).passed
    assert judge(beside(small, seen(data), rows=None), PipelineConfig()).passed


def test_a_sample_that_is_too_small_to_tell_says_so(data: pd.DataFrame) -> None:
    small = data.sample(70, random_state=2)
    candidate = seen(small, resolve(PipelineConfig(), {"model": {"parameters": {"C": 0.2}}}))
    here = beside(candidate, seen(data), rows=None)

    verdict = judge(here, PipelineConfig())
    strict = judge(here, configured(gate={"unsure": "fail"}))

    assert verdict.passed
    assert any("the sample is too small to tell" in doubt for doubt in verdict.doubts)
    assert not strict.passed
    assert any("the sample is too small to tell" in reason for reason in strict.reasons)


def test_a_champion_that_cannot_be_compared_leaves_doubt(data: pd.DataFrame) -> None:
    here = replace(seen(data), champion=Champion("3", None, "does not take this data"))

    verdict = judge(here, PipelineConfig())

    assert verdict.passed
    assert verdict.gain is None
    assert verdict.doubts == ["champion version 3 does not take this data"]


def test_a_slice_below_its_floor_is_caught(data: pd.DataFrame) -> None:
    rules = [
        {"column": "Male", "floor": 0.8},
        {"column": "Age", "bins": 3, "metric": "test_log_loss", "floor": 0.6},
        {"column": "Country", "floor": 0.5, "min_rows": 200},
    ]
    good = judge(seen(data), configured(gate={"slices": rules}))
    names = [check.name for check in good.checks if check.name.startswith("slice")]

    assert good.passed
    assert names[:2] == ["slice Male = 0", "slice Male = 1"]
    assert sum(name.startswith("slice Age in (") for name in names) == 3
    assert all(check.status == "unsure" for check in good.checks if "Country" in check.name)

    # The model knows nothing of men once it was taught wrong about them.
    wrong = data.assign(**{TARGET: np.where(data["Male"] == 1, 1 - data[TARGET], data[TARGET])})
    bad = judge(seen(wrong), configured(gate={"slices": rules[:1], "dummy": False}))
    assert {"slice Male = 0", "slice Male = 1"} & set(failed(bad))


def test_a_slice_of_missing_values_and_an_unknown_column(data: pd.DataFrame) -> None:
    holes = data.assign(City=data["City"].where(data.index % 2 == 0))
    rules = [{"column": "City", "floor": 0.5}, {"column": "Town", "floor": 0.5}]

    verdict = judge(seen(holes), configured(gate={"slices": rules}))

    assert any(check.name == "slice City missing" and check.status == "passed" for check in verdict.checks)
    assert failed(verdict) == ["slice Town"]


@pytest.mark.parametrize(
    ("rule", "name", "passed"),
    [
        ({"check": "invariance", "column": "Male", "tolerance": 0.05}, "invariance of Male", True),
        ({"check": "invariance", "column": TIME}, f"invariance of {TIME}", False),
        ({"check": "direction", "column": "Age", "effect": "up", "step": 5}, "direction of Age", True),
        ({"check": "direction", "column": TIME, "effect": "down"}, f"direction of {TIME}", True),
        ({"check": "direction", "column": TIME, "effect": "up"}, f"direction of {TIME}", False),
        ({"check": "direction", "column": "City", "effect": "up"}, "direction of City", False),
    ],
)
def test_behaviour_is_as_declared(data: pd.DataFrame, rule: dict[str, Any], name: str, passed: bool) -> None:
    verdict = judge(seen(data), configured(gate={"behaviour": [rule]}))

    assert failed(verdict) == ([] if passed else [name])


@pytest.mark.parametrize(("values", "passed"), [("abc", True), ("ny", False)])
def test_a_category_may_be_declared_to_make_no_difference(data: pd.DataFrame, values: str, passed: bool) -> None:
    rng = np.random.default_rng(4)
    at_random = rng.choice(list("abc"), len(data))
    telling = np.where(rng.random(len(data)) < 0.9, np.where(data[TARGET] == 1, "y", "n"), "n")
    config = resolve(
        PipelineConfig(),
        {
            "schema": {"Sort": {"type": "category"}, **PipelineConfig().as_dict()["schema"]},
            "promotion": {"gate": {"behaviour": [{"check": "invariance", "column": "Sort", "tolerance": 0.02}]}},
        },
    )

    verdict = judge(seen(data.assign(Sort=at_random if values == "abc" else telling), config), config)

    assert failed(verdict) == ([] if passed else ["invariance of Sort"])


def test_a_category_has_no_direction_and_a_model_that_ignores_the_column_none_either(data: pd.DataFrame) -> None:
    config = resolve(
        PipelineConfig(),
        {
            "schema": {
                "Sort": {"type": "category"},
                "Flat": {"type": "number"},
                **PipelineConfig().as_dict()["schema"],
            },
            "promotion": {
                "gate": {"behaviour": [{"check": "direction", "column": c, "effect": "up"} for c in ("Sort", "Flat")]}
            },
        },
    )

    verdict = judge(seen(data.assign(Sort="a", Flat=1.0), config), config)

    assert failed(verdict) == ["direction of Sort", "direction of Flat"]
    assert "it does not move at all" in verdict.reasons[1]


def test_a_tiny_test_part_is_not_refused_for_being_small(data: pd.DataFrame) -> None:
    verdict = judge(seen(data.head(40)), PipelineConfig())

    assert verdict.passed
    assert any("too few to tell a leak from luck" in doubt for doubt in verdict.doubts)
