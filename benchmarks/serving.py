"""Measures the service beside `mlflow models serve`, BentoML and a constant answer: `make bench-serving`.

One registered version, one machine, one worker process each, one after the other. The load comes from
`benchmarks.load`, a client of our own in a process of its own. BentoML is no dependency of ours: it is installed with
pip into a folder that is thrown away afterwards, beside the packages that this environment has. Figures are printed,
nothing is asserted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.load import Figures, Load
from tests.support import ROOT, free_ports, wait_for

BIN = Path(sys.executable).parent
SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
ROW = {"Daily Time Spent on Site": 68.9, "Age": 35, "Area Income": 61833.9, "Daily Internet Usage": 256.1, "Male": 0}
CONSTANT = """
BODY = b'{"model":{"name":"ad-click","version":"1"},"predictions":[0],"probabilities":[0.005379546990439653]}'
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))])
    return [BODY]
"""
BENTO = """
import bentoml, mlflow.sklearn, pandas as pd
@bentoml.service(workers=1)
class Model:
    def __init__(self):
        self.model = mlflow.sklearn.load_model("models:/ad-click/1")
    @bentoml.api
    def predict(self, rows: list[dict[str, float]]) -> list[float]:
        return self.model.predict_proba(pd.DataFrame(rows))[:, 1].tolist()
"""


class Counting:
    """Stands in for Airflow with no runs, and counts what it is asked, so that the questions a second can be told."""

    def __init__(self, port: int) -> None:
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self._tell(200, {"dag_runs": []})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._tell(201, {"access_token": "x"})

            def _tell(self, status: int, value: Any) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@contextmanager
def process(command: list[str], env: dict[str, str], cwd: Path, ready: str, log: Path) -> Iterator[psutil.Process]:
    """A server that runs until the end of the block, once it answers 200 at an address."""
    with log.open("wb") as handle:
        started = subprocess.Popen(command, env=env, cwd=cwd, stdout=handle, stderr=handle, start_new_session=True)
        try:
            try:
                wait_for(lambda: httpx.get(ready, timeout=2).status_code == 200, ready, 240)
            except AssertionError as error:
                last = " ".join(log.read_text(errors="replace").split())[-500:]
                raise SystemExit(f"{error}; its log ends with: {last}") from error
            yield psutil.Process(started.pid)
        finally:
            os.killpg(started.pid, signal.SIGTERM)
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)


def memory_mb(root: psutil.Process) -> float:
    """The memory of a process and of all that it started, in MB; what they share is counted once (PSS)."""
    return sum(one.memory_full_info().pss for one in [root, *root.children(recursive=True)]) / 2**20


def train(uri: str, folder: Path) -> None:
    """Trains the default model and registers it as version 1 with its champion alias."""
    import mlflow.sklearn

    from ml.config.schema import PipelineConfig
    from ml.data.generated import generate
    from ml.registry import loading, model_logging
    from ml.training import features as preprocess
    from ml.training.pipeline import build_pipeline

    mlflow.set_tracking_uri(uri)
    config, frame = PipelineConfig(), generate(1000, 1)
    roles = preprocess.decide_roles(frame, config)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
    pipeline = build_pipeline(config, roles).fit(features, target)
    with mlflow.start_run():
        options = model_logging.saving_options(pipeline, features.head())
        info = mlflow.sklearn.log_model(name="model", registered_model_name="ad-click", **options)
    client = mlflow.MlflowClient(uri)
    loading.download(client, f"models:/{info.model_id}", folder)
    client.set_model_version_tag("ad-click", "1", loading.SHA256_TAG, loading.sha256_of(folder))
    client.set_registered_model_alias("ad-click", "champion", "1")


def bodies(shape: str) -> tuple[bytes, bytes]:
    """The request of one row and that of a thousand, as a server takes them."""
    if shape == "mlflow":
        made = [{"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())] * size}} for size in (1, 1000)]
    else:
        made = [{"rows": [ROW] * size} for size in (1, 1000)]  # type: ignore[misc]
    return json.dumps(made[0]).encode(), json.dumps(made[1]).encode()


def show(name: str, one: Figures, many: Figures | None, memory: float) -> None:
    """Prints a line of the table."""
    rows = f"{many.per_s * 1000:12,.0f}" if many else " " * 12
    print(f"{name:34} {one.per_s:10,.0f} {one.p99_ms:10.2f} {rows} {memory:8.0f}   {one.errors}", flush=True)


@dataclass(frozen=True)
class Measured:
    """What a prediction server did with one row and with a thousand a request, and its memory in MB afterwards."""

    one: Figures
    many: Figures
    memory_mb: float


def bench(name: str, port: int, path: str, shape: str, root: psutil.Process) -> Measured:
    """Measures a prediction server."""
    single, thousand = bodies(shape)
    Load(port, path, 4, 2.0, single).run()
    one, many = Load(port, path, 16, SECONDS, single).run(), Load(port, path, 16, SECONDS, thousand).run()
    memory = memory_mb(root)
    show(name, one, many, memory)
    return Measured(one, many, memory)


def install_bento(folder: Path) -> Path | None:
    """BentoML in an environment that is thrown away; None, and why, where it cannot be installed."""
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, check=False)
    wanted = ["bentoml", *(f"{name}=={_version(name)}" for name in ("mlflow", "scikit-learn", "skops", "pandas"))]
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(pip, capture_output=True, text=True, check=False) if made.returncode == 0 else made
    if done.returncode == 0:
        return folder / "bin"
    print(f"BentoML is left out, since it could not be installed: {str(done.stderr)[-300:]}")
    return None


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def main() -> None:
    """Starts one server after the other and prints the table."""
    with tempfile.TemporaryDirectory(prefix="trackyard-bench-") as directory:
        _measure(Path(directory))


def _measure(home: Path) -> None:
    ports = free_ports(6)
    uri = f"http://127.0.0.1:{ports[0]}"
    env = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(home), "MLFLOW_DISABLE_TELEMETRY": "true"}
    # `mlflow models serve` looks for its own server on the PATH.
    env["PATH"] = f"{BIN}{os.pathsep}{env.get('PATH', '')}"
    (home / "constant.py").write_text(CONSTANT)
    (home / "bento.py").write_text(BENTO)
    store = ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", str(home / "artifacts")]
    tracker = [str(BIN / "mlflow"), "server", "--port", str(ports[0]), "--workers", "1", *store]
    airflow = Counting(ports[1])
    tracking_env = {**env, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with process(tracker, tracking_env, home, f"{uri}/health", home / "mlflow.log"):
        train(uri, home / "model")
        print(f"{'':34} {'one row/s':>10} {'p99 ms':>10} {'rows/s':>12} {'MB':>8}   errors")
        ours, status = _trackyard(home, env, ports, airflow)
        constant = _constant(home, env, ports[3])
        served = _mlflow(home, env, ports[4])
        bento = _bento(home, env, ports[5])
    print(f"\n/status: {status.per_s / constant.per_s:.2f} of the constant answer (bar 0.5)")
    print(f"memory: {ours.memory_mb / served.memory_mb:.2f} of mlflow models serve (bar 0.5)")
    for name, other, bars in (("mlflow models serve", served, (30, 10)), ("BentoML", bento, (8, 3))):
        if other:
            times, share = ours.one.per_s / other.one.per_s, ours.one.p99_ms / other.one.p99_ms
            print(f"one row: {times:.1f} x {name} (bar {bars[0]}); p99 {share:.3f} of its (bar 0.2)")
            print(f"1000 rows: {ours.many.per_s / other.many.per_s:.1f} x {name} (bar {bars[1]})")


def _trackyard(home: Path, env: dict[str, str], ports: list[int], airflow: Counting) -> tuple[Measured, Figures]:
    own = {
        **env,
        "PYTHONPATH": str(ROOT),
        "TRACKYARD_AIRFLOW_URL": f"http://127.0.0.1:{ports[1]}",
        "TRACKYARD_AIRFLOW_USERNAME": "status",
        "TRACKYARD_AIRFLOW_PASSWORD": "x",
        "TRACKYARD_SERVING_STATE": str(home / "state"),
    }
    command = [sys.executable, "-m", "serving", "--port", str(ports[2])]
    with process(command, own, home, f"http://127.0.0.1:{ports[2]}/ready", home / "trackyard.log") as root:
        opening = memory_mb(root)
        measured = bench("trackyard", ports[2], "/predict", "trackyard", root)
        print(f"  while it opened a version, for some seconds, it had {opening:.0f} MB")
        log = home / "mlflow.log"
        before, asked, started = log.read_text().count("registered-models/search"), airflow.asked, time.monotonic()
        status = Load(ports[2], "/status", 64, SECONDS).run()
        lasted = time.monotonic() - started
        show("trackyard /status, 64 connections", status, None, memory_mb(root))
        after = log.read_text().count("registered-models/search")
        seen = [(airflow.asked - asked) / lasted, (after - before) / lasted]
        print(f"  meanwhile Airflow saw {seen[0]:.2f} requests/s, MLflow {seen[1]:.2f}")
    return measured, status


def _constant(home: Path, env: dict[str, str], port: int) -> Figures:
    command = [str(BIN / "granian"), "--interface", "wsgi", "--http", "1", "--workers", "1", "--port", str(port)]
    with process([*command, "constant:app"], env, home, f"http://127.0.0.1:{port}/", home / "constant.log") as root:
        Load(port, "/", 4, 2.0).run()
        found = Load(port, "/", 64, SECONDS).run()
        show("constant answer, 64 connections", found, None, memory_mb(root))
    return found


def _mlflow(home: Path, env: dict[str, str], port: int) -> Measured:
    command = [str(BIN / "mlflow"), "models", "serve", "-m", "models:/ad-click/1", "--env-manager", "local"]
    command += ["--port", str(port), "--workers", "1"]
    with process(command, env, home, f"http://127.0.0.1:{port}/health", home / "serve.log") as root:
        return bench("mlflow models serve", port, "/invocations", "mlflow", root)


def _bento(home: Path, env: dict[str, str], port: int) -> Measured | None:
    found = install_bento(home / "bento-venv")
    if found is None:
        return None
    command = [str(found / "bentoml"), "serve", "bento:Model", "--port", str(port)]
    own = {**env, "BENTOML_HOME": str(home / "bentoml"), "BENTOML_DO_NOT_TRACK": "true"}
    with process(command, own, home, f"http://127.0.0.1:{port}/livez", home / "bento.log") as root:
        return bench("BentoML", port, "/predict", "bento", root)


if __name__ == "__main__":
    main()
