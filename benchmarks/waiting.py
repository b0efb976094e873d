"""Measures whether anybody waits for somebody else's request: a part of `make bench-serving`.

For each of the worst valid requests a service is started with a linear and another model, as it was stopped; from its
first moment it is sent 200 ordinary requests a second, and the worst one again and again beside them. What is told is
the ordinary ones' p99, with and without, and by how much the service's memory rose at most. Nothing is asserted.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.load import Figures, Load
from benchmarks.serving import ROW, process
from tests.support import ROOT, free_ports, wait_for

SECONDS = float(os.environ.get("BENCH_WAITING_SECONDS", "6"))
PER_S = 200
SETTLED_AFTER_S = 2.0
BAR_TIMES, BAR_MB = 3.0, 64.0
ROWS = [{**ROW, "Age": 20 + number % 40, "Area Income": 50_000 + number / 7} for number in range(10_000)]
CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Worst:
    """A request that takes long."""

    name: str
    body: bytes
    kind: str = "application/json"
    path: str = "/predict"


def worst() -> list[Worst]:
    """The requests, the largest that are taken."""
    import pandas as pd

    frame, parquet = pd.DataFrame(ROWS), io.BytesIO()
    frame.to_parquet(parquet)
    csv = frame.to_csv(index=False).encode()
    far_out = json.dumps({"rows": [{**ROW, "Area Income": 1e90}]}).encode()
    return [
        Worst("one far-out row", far_out),
        Worst("10,000 rows of CSV", csv, CSV),
        Worst("10,000 rows of JSON, explained", json.dumps({"rows": ROWS, "explain": True}).encode()),
        Worst("10,000 rows of Parquet", parquet.getvalue(), PARQUET),
        Worst("one row of a forest", json.dumps({"rows": [ROW]}).encode(), path="/models/forest/predict"),
        Worst("10,000 rows of a forest, CSV", csv, CSV, "/models/forest/predict"),
    ]


def keep_models(state: Path, folder: Path) -> None:
    """What a service that served a linear model and a forest leaves behind when it is stopped."""
    import mlflow.sklearn

    from ml.config.schema import PipelineConfig
    from ml.data.generated import generate
    from ml.registry import loading, model_logging
    from ml.training import features as preprocess
    from ml.training.pipeline import build_pipeline
    from serving.models import prepared
    from serving.models.cache import LiveModel, ModelCopy
    from serving.models.predictor import Predictor

    frame = generate(1000, 1)
    for name, estimator in (("ad-click", "LogisticRegression"), ("forest", "RandomForestClassifier")):
        config = PipelineConfig.model_validate({"model": {"name": name, "estimator": estimator}})
        roles = preprocess.decide_roles(frame, config)
        features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
        pipeline = build_pipeline(config, roles).fit(features, target)
        made, copy = folder / name, ModelCopy(state, name)
        mlflow.sklearn.save_model(path=str(made), **model_logging.saving_options(pipeline, features.head()))
        tags = {loading.SHA256_TAG: loading.sha256_of(made)}
        loaded = loading.load_folder(made, name=name, version="1", run_id="r", tags=tags)
        with copy.new_folder() as new:
            shutil.copytree(made, new, dirs_exist_ok=True)
            prepared.write(new, loaded)
            copy.keep(new, loaded)
        copy.mark(LiveModel.now(Predictor.of(loaded), {}))


@contextmanager
def service(home: Path) -> Iterator[tuple[int, psutil.Process]]:
    """A service that has just started, without Airflow and MLflow."""
    (port,) = free_ports(1)
    nowhere = "http://127.0.0.1:9"
    env = {
        **os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": nowhere, "TRACKYARD_AIRFLOW_URL": nowhere,
        "TRACKYARD_AIRFLOW_USERNAME": "status", "TRACKYARD_AIRFLOW_PASSWORD": "x",
        "TRACKYARD_MODEL_NAME": "ad-click", "TRACKYARD_SERVING_STATE": str(home / "state"),
    }  # fmt: skip
    command = [sys.executable, "-m", "serving", "--port", str(port)]
    with process(command, env, home, f"http://127.0.0.1:{port}/ready", home / "serving.log") as root:
        yield port, root


def _everybody(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _peak_mb(root: psutil.Process) -> float:
    """The most memory that a process and all that it started had since it was last asked, in MB."""
    found = 0
    for one in _everybody(root):
        status = Path(f"/proc/{one.pid}/status").read_text()
        found += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        # From here on its peak counts anew (proc(5)).
        Path(f"/proc/{one.pid}/clear_refs").write_text("5")
    return found / 1024


@dataclass(frozen=True)
class Seen:
    """What the ordinary requests saw, what the worst ones were answered, and the most memory that those added."""

    ordinary: Figures
    answers: Counter[int]
    added_mb: float


def measure(home: Path, request: Worst | None) -> Seen:
    """Sends ordinary requests, and one of the worst after the other beside them."""
    ordinary = json.dumps({"rows": [ROW]}).encode()
    answers: Counter[int] = Counter()
    stop = threading.Event()
    with service(home) as (port, root):
        # What it does when it starts is no request's.
        forest = f"http://127.0.0.1:{port}/models/forest"
        wait_for(lambda: httpx.get(forest).json().get("version"), "the forest to be live")
        time.sleep(SETTLED_AFTER_S)
        _peak_mb(root)
        before = _peak_mb(root)
        sender = threading.Thread(target=_send, args=(request, port, answers, stop))
        sender.start()
        figures = Load(port, "/predict", 16, SECONDS, ordinary, PER_S).run()
        stop.set()
        sender.join()
        return Seen(figures, answers, _peak_mb(root) - before)


def _send(request: Worst | None, port: int, answers: Counter[int], stop: threading.Event) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        while request and not stop.is_set():
            headers = {"Content-Type": request.kind}
            answers[client.post(request.path, content=request.body, headers=headers).status_code] += 1


def main() -> None:
    """Measures one request after the other and prints the table."""
    with tempfile.TemporaryDirectory(prefix="trackyard-bench-") as directory:
        home = Path(directory)
        keep_models(home / "state", home)
        print(f"{PER_S} ordinary requests a second, beside:        p99 ms  times  answers/s  added MB   not 200")
        alone = measure(home, None)
        print(f"{'nothing':44} {alone.ordinary.p99_ms:8.2f} {'':6} {'':10} {alone.added_mb:9.0f}", flush=True)
        seen = [show(request, measure(home, request), alone) for request in worst()]
    print(f"\nat most {max(times for times, _ in seen):.1f} times the p99 without (bar {BAR_TIMES:.0f})")
    print(f"at most {max(added for _, added in seen):.0f} MB more (bar {BAR_MB:.0f})")


def show(request: Worst, seen: Seen, alone: Seen) -> tuple[float, float]:
    """Prints a line of the table; returns how many times as long the ordinary requests took, and the MB added."""
    p99, answered = seen.ordinary.p99_ms, seen.answers.total() / SECONDS
    times = p99 / alone.ordinary.p99_ms
    wrong = seen.answers.total() - seen.answers[200] + seen.ordinary.errors
    print(f"{request.name:44} {p99:8.2f} {times:6.1f} {answered:10.1f} {seen.added_mb:9.0f} {wrong:9}", flush=True)
    return times, seen.added_mb


if __name__ == "__main__":
    main()
