"""What a step took: its seconds, and the machine's load while it ran, by the names of MLflow's system metrics.

Effects: reads the process's and the machine's counters.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping

STEPS = (
    "load_data_task", "data_preprocessing_task", "separate_data_outputs_task", "build_save_model_task",
    "load_model_task", "promote_model_task", "report_model_task",
)  # fmt: skip
"""The tasks in their order; a step's place in it is the x of its system metrics."""
_SIDE_BY_SIDE = STEPS.index("promote_model_task")
"""The steps from here on follow the same one."""


def waiting(task: str, metrics: Mapping[str, float], since_trigger_s: float) -> dict[str, float]:
    """The seconds between the end of the step before and the beginning of this one, as `waiting/<task>`.

    Args:
        task: The task whose step begins.
        metrics: The run's, with those of the steps before.
        since_trigger_s: The seconds from the DAG run's trigger to the beginning.
    """
    before = STEPS[: min(STEPS.index(task), _SIDE_BY_SIDE)]
    known = sum(metrics.get(f"{what}/{step}", 0.0) for step in before for what in ("waiting", "seconds"))
    return {f"waiting/{task}": round(max(since_trigger_s - known, 0.0), 3)}


class Meter:
    """Measures from its making until `read`."""

    def __init__(self) -> None:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        # The CPU's load is counted from the last look at it, the network's bytes from the monitor's making.
        CPUMonitor().collect_metrics()
        self._monitors = (CPUMonitor(), DiskMonitor(), NetworkMonitor())
        self.began_at = time.time()
        """The moment of its making, in seconds since 1970."""
        self._began = time.monotonic()
        self._cpu_s = time.process_time()

    def read(self, task: str) -> dict[str, float]:
        """Seconds as `seconds/<task>`, and the load as `system/...` (percent, megabytes, seconds)."""
        figures = {f"seconds/{task}": round(time.monotonic() - self._began, 3)}
        for monitor in self._monitors:
            monitor.collect_metrics()
            figures |= {f"system/{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
        # Linux counts in kilobytes, macOS in bytes.
        unit = 1e6 if sys.platform == "darwin" else 1e3
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        return {
            **figures,
            "system/process_cpu_seconds": round(time.process_time() - self._cpu_s, 3),
            "system/process_peak_memory_megabytes": round(peak, 1),
        }
