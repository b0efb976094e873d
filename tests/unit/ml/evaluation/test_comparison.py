"""How runs differ, with intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.evaluation.comparison import Subject, are_same_rows, compare
from tests.fakes import predictions, subject


def test_parameters_data_and_origin_that_differ_are_told() -> None:
    schema = '{"Age": {"type": "integer"}, "City": {"type": "%s"}}'
    one = subject("A", None, params={"C": "1", "same": "x", "schema": schema % "string"})
    two = subject(
        "B", None, params={"C": "2", "same": "x", "schema": schema % "category", "new": "y"}, tags={"data.digest": "d2"}
    )

    found = compare([one, two])

    assert found.params == [("C", ["1", "2"]), ("new", ["-", "y"])]
    assert ("data.digest", ["d" * 32, "d2"]) in found.data
    assert ("column City", ["string", "category"]) in found.data
    assert ("git.commit", ["abc", "abc"]) in found.origin


def test_a_clear_difference_on_the_same_rows_is_called_by_its_name() -> None:
    good, bad = predictions(0.1), predictions(0.6)

    found = compare([subject("A", bad), subject("B", good)]).metrics

    for name in ("test_log_loss", "test_roc_auc", "test_accuracy", "test_brier"):
        base, other = found[name]
        assert base.interval
        assert base.interval[0] <= base.value <= base.interval[1]
        assert other.is_paired
        assert other.verdict == "better", name
    reverse = compare([subject("A", good), subject("B", bad)]).metrics
    assert reverse["test_log_loss"][1].verdict == "worse"


def test_the_same_predictions_are_the_same_and_a_whisper_of_noise_cannot_be_told() -> None:
    table = predictions(0.3)
    nearly = table.assign(probability=table["probability"] + np.random.default_rng(5).normal(size=len(table)) * 1e-3)

    assert compare([subject("A", table), subject("B", table)]).metrics["test_log_loss"][1].verdict == "same"
    assert compare([subject("A", table), subject("B", nearly)]).metrics["test_accuracy"][1].verdict in (
        "cannot tell",
        "same",
    )


def test_other_rows_are_not_paired_and_their_interval_is_wider() -> None:
    one, two = predictions(0.3), predictions(0.35)
    elsewhere = subject("B", two, tags={"data.digest": "other"})

    paired = compare([subject("A", one), subject("B", two)]).metrics["test_brier"][1]
    loose = compare([subject("A", one), elsewhere]).metrics["test_brier"][1]

    assert not are_same_rows(subject("A", one), elsewhere)
    assert (paired.is_paired, loose.is_paired) == (True, False)
    assert paired.difference_interval
    assert loose.difference_interval
    assert np.ptp(loose.difference_interval) > np.ptp(paired.difference_interval)


@pytest.mark.parametrize(
    ("tags", "are_same"),
    [
        ({"data.digest": "1a2b3c4d", "data.rows": "9000"}, True),
        ({"data.digest": "1a2b3c4d", "data.rows": "12000"}, False),
        ({"data.digest": "1a2b3c4d"}, False),
        ({"data.digest": ""}, False),
    ],
)
def test_runs_of_an_old_digest_are_paired_only_where_it_tells_the_whole_data(
    tags: dict[str, str], are_same: bool
) -> None:
    one, two = predictions(0.3), predictions(0.35)

    assert are_same_rows(subject("A", one, tags=tags), subject("B", two, tags=tags)) is are_same


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        target = rng.integers(0, 2, 200)
        probability = np.where(rng.random(200) < 0.8, target, 1 - target) * 0.8 + 0.1
        table = pd.DataFrame({"row": range(200), "target": target, "probability": probability})
        interval = compare([subject("A", table), subject("B", table)]).metrics["test_accuracy"][0].interval
        assert interval
        hits += interval[0] <= 0.8 <= interval[1]
    assert hits >= 51


def test_a_run_without_predictions_is_compared_by_its_numbers_alone() -> None:
    one, two = subject("A", predictions(0.3)), subject("B", None)
    two = Subject(**{**two.__dict__, "metrics": {"test_f1": 0.5}})

    measure = compare([one, two]).metrics["test_f1"][1]

    assert (measure.value, measure.interval, measure.verdict) == (0.5, None, "")


@pytest.mark.parametrize("count", [2, 5])
def test_every_run_has_a_column(count: int) -> None:
    found = compare([subject(chr(65 + at), predictions(0.1 + at / 10)) for at in range(count)])

    assert all(len(measures) == count for measures in found.metrics.values())
