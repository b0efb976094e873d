from __future__ import annotations

import pytest

from ml.tracking.system_metrics import STEPS, Meter, waiting


def test_a_step_tells_its_seconds_and_the_machines_load() -> None:
    found = Meter().read(STEPS[0])

    assert found["seconds/load_data_task"] >= 0
    assert {"system/cpu_utilization_percentage", "system/process_peak_memory_megabytes"} <= set(found)
    assert all(isinstance(value, float) for value in found.values())


@pytest.mark.parametrize(
    ("task", "metrics", "since_trigger_s", "waited_s"),
    [
        ("load_data_task", {}, 0.4, 0.4),
        ("data_preprocessing_task", {"waiting/load_data_task": 0.4, "seconds/load_data_task": 1.0}, 1.75, 0.35),
        # What an earlier try wrote of itself and of later steps counts for nothing.
        ("load_data_task", {"waiting/load_data_task": 0.4, "seconds/load_model_task": 9.0}, 60.0, 60.0),
        # These two follow the same step, and one is not the other's waiting.
        ("promote_model_task", {"seconds/load_model_task": 3.0}, 3.5, 0.5),
        ("report_model_task", {"seconds/load_model_task": 3.0, "seconds/promote_model_task": 2.0}, 3.5, 0.5),
        # The clocks of two hosts differ.
        ("data_preprocessing_task", {"seconds/load_data_task": 1.0}, 0.9, 0.0),
    ],
)
def test_a_step_tells_how_long_it_was_waited_for(
    task: str, metrics: dict[str, float], since_trigger_s: float, waited_s: float
) -> None:
    assert waiting(task, metrics, since_trigger_s) == {f"waiting/{task}": pytest.approx(waited_s, abs=1e-9)}
