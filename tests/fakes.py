"""What stands for servers and stores in tests that need none, and the rows and models that several tests use."""

from __future__ import annotations

import asyncio
import io
import json
import math
import random
import shutil
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from ml.config.loading import resolve
from ml.config.schema import PipelineConfig
from ml.data.generated import generate
from ml.data.store import Listed
from ml.errors import ContractViolation, UnreadableData
from ml.evaluation.comparison import Subject
from ml.evaluation.metrics import metrics, probabilities
from ml.gate import verdict as gate
from ml.reading import contract
from ml.registry import loading, model_logging
from ml.registry.loading import SHA256_TAG, LoadedModel, load_folder, sha256_of
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline
from serving.api.parsing import parse
from serving.api.scoring import score
from serving.api.webhook import Webhooks
from serving.app import Monitors, create_app
from serving.models import prepared
from serving.models.predictor import Predictor
from serving.models.repository import ModelRepository
from serving.models.scorer import Copy
from serving.server import Server
from serving.settings import ServingSettings
from serving.upstream.pipeline import PipelineMonitor
from serving.upstream.registry import Candidate, Champion
from serving.web.messages import RequestRefused


@dataclass(frozen=True)
class Fitted:
    config: PipelineConfig
    roles: preprocess.Roles
    features: pd.DataFrame
    target: pd.Series
    pipeline: Any


@dataclass(frozen=True)
class SavedModel:
    folder: Path

    @property
    def tags(self) -> dict[str, str]:
        return {SHA256_TAG: sha256_of(self.folder)}


class MemoryStore:
    """The part of `ml.data.store.Store` that decisions, history and gc use."""

    bucket = "trackyard"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.changed: dict[str, datetime] = {}
        self.is_careless = False

    def exists(self, key: str) -> bool:
        return key in self.objects

    def create(self, content: bytes, key: str) -> bool:
        if key in self.objects and not self.is_careless:
            return False
        self.write_bytes(content, key)
        return True

    def write_bytes(self, content: bytes, key: str) -> str:
        self.objects[key] = content
        self.changed[key] = datetime.now(UTC)
        return f"s3://{self.bucket}/{key}"

    def write_json(self, value: Any, key: str) -> str:
        return self.write_bytes(json.dumps(value).encode(), key)

    def write_parquet(self, frame: pd.DataFrame, key: str) -> str:
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return self.write_bytes(buffer.getvalue(), key)

    def read(self, key: str) -> bytes:
        if key not in self.objects:
            raise UnreadableData(f"{key} does not exist")
        return self.objects[key]

    def read_json(self, key: str) -> Any:
        return json.loads(self.read(key))

    def read_parquet(self, key: str, columns: list[str] | None = None) -> pd.DataFrame:
        return pd.read_parquet(io.BytesIO(self.read(key)), columns=columns)

    def read_bytes(self, uri: str, max_bytes: int) -> bytes:
        return self.read(uri.removeprefix(f"s3://{self.bucket}/"))

    def listed(self, prefix: str) -> list[Listed]:
        found = [(key, content) for key, content in sorted(self.objects.items()) if key.startswith(prefix)]
        return [Listed(key, len(content), self.changed[key]) for key, content in found]

    def copy(self, key: str, to: str) -> None:
        self.write_bytes(self.objects[key], to)

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


def stored(folder: Path, seed: int = 1) -> dict[str, str]:
    """Stores a model as the pipeline does and returns the tags of its version."""
    config = PipelineConfig()
    frame = generate(200, seed)
    roles = preprocess.decide_roles(frame, config)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
    pipeline = build_pipeline(config, roles).fit(features, target)
    mlflow.sklearn.save_model(path=str(folder), **model_logging.saving_options(pipeline, features.head()))
    return {loading.SHA256_TAG: loading.sha256_of(folder)}


class Airflow:
    """Airflow as the monitor sees it: what a test puts in, or an error."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.asked = 0

    def add(self, run_id: str, state: str) -> None:
        """Adds a run that is newer than those before."""
        self.runs.insert(
            0,
            {
                "dag_run_id": run_id, "state": state, "run_after": f"2026-01-01T00:00:{len(self.runs):02}Z",
                "start_date": "2026-01-01T00:00:00Z",
                "end_date": None if state == "running" else "2026-01-01T00:00:09Z",
                "duration": 9.0, "triggered_by": "rest_api",
            },
        )  # fmt: skip

    def dag_runs(
        self, dag_id: str, limit: int = 25, order_by: str = "-run_after", state: str | None = None, offset: int = 0
    ) -> list[dict[str, Any]]:
        self.asked += 1
        if self.error:
            raise self.error
        found = [run for run in self.runs if state in (None, run["state"])]
        return found[offset : offset + limit]

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        running = next(run for run in self.runs if run["dag_run_id"] == run_id)["state"] == "running"
        return [
            {
                "task_id": "load_data_task", "state": "running" if running else "success", "duration": 1.5,
                "start_date": "2026-01-01T00:00:00Z", "end_date": None if running else "2026-01-01T00:00:02Z",
                "try_number": 1,
            }
        ]  # fmt: skip


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """A loop in a thread of its own: a browser's test in the same process leaves its own running."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="asgi", daemon=True).start()
    return loop


def wait_for_answer(work: Coroutine[Any, Any, Any]) -> Any:
    """What an ASGI application's work comes to."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result(60)


class Client:
    """Asks an ASGI application as its server would, from an address of this machine or another."""

    def __init__(self, app: Any, address: str = "127.0.0.1") -> None:
        transport = httpx.ASGITransport(app, client=(address, 5000))
        self._http = httpx.AsyncClient(transport=transport)

    def request(self, method: str, path: str, kind: str = "", **options: Any) -> httpx.Response:
        if kind:
            options["headers"] = {"Content-Type": kind, **options.get("headers", {})}
        found: httpx.Response = wait_for_answer(self._http.request(method, "http://localhost" + path, **options))
        return found

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


def service_of(
    settings: ServingSettings,
    repository: ModelRepository | None = None,
    monitor: PipelineMonitor | None = None,
    webhooks: Webhooks | None = None,
) -> Server:
    """The service over monitors that ask nobody by themselves."""
    ordinary = Monitors.of(settings)
    return create_app(settings, Monitors(monitor or ordinary.pipeline, repository or ordinary.models), webhooks)


class Service:
    """The service with monitors of the test's own."""

    def __init__(self, settings: ServingSettings, folder: Path, tags: dict[str, str]) -> None:
        self.airflow = Airflow()
        self.registry = Registry(folder, tags)
        self.monitor = PipelineMonitor(self.airflow, "Airflow_Lab2")
        self.repository = ModelRepository(self.registry, "ad-click", settings.state_dir)
        self.app = service_of(settings, self.repository, self.monitor)
        self.client = Client(self.app)

    def refresh(self) -> None:
        self.monitor.refresh()
        self.repository.refresh()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/status").json()
        return found


class Registry:
    """A registry in which every version has the same files, unless a test spoils them."""

    def __init__(self, folder: Path, tags: dict[str, str]) -> None:
        self._folder = folder
        self.tags = tags
        self.aliases_now: dict[str, str] = {}
        self.error: Exception | None = None
        self.fetch_error: Exception | None = None
        self.fetched = 0
        self.asked: list[str] = []
        self.versions_now: list[dict[str, Any]] = []
        self.candidates_now: list[Candidate] = []
        self.gone: set[str] = set()

    def champions(self) -> dict[str, Champion | None]:
        self.asked.append("champions")
        if self.error:
            raise self.error
        return {"ad-click": self._champion()}

    def versions(self, name: str, limit: int = 20) -> list[dict[str, Any]]:
        self.asked.append(f"versions {name}")
        return self.versions_now

    def candidates(self) -> list[Candidate]:
        return self.candidates_now

    def _champion(self) -> Champion | None:
        version = self.aliases_now.get("champion")
        if version is None:
            return None
        aliases = sorted(alias for alias, number in self.aliases_now.items() if number == version)
        return Champion(version, self.tags[SHA256_TAG], tuple(aliases), "r")

    def complete(self, name: str, champion: Champion) -> Champion:
        self.asked.append(f"complete {name}")
        return replace(champion, sha256=self.tags[SHA256_TAG])

    def is_gone(self, name: str) -> bool:
        self.asked.append(f"is_gone {name}")
        return name in self.gone

    def fetch_ahead(self, name: str, version: str, folder: Path, max_bytes: int) -> None:
        self.fetch(name, version, folder)

    def fetch(self, name: str, version: str, folder: Path) -> None:
        self.fetched += 1
        if self.fetch_error:
            raise self.fetch_error
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)
        prepared.write(folder, load_folder(folder, name=name, version=version, run_id="r", tags=self.tags))

    def metrics(self, run_id: str) -> dict[str, float]:
        return {"test_accuracy": 0.9}


class Manager:
    """A process manager: what is started runs, and a part is as a test says."""

    def __init__(self, is_running: bool = True, **processes: dict[str, Any]) -> None:
        self.processes = processes
        self._is_running = is_running

    def is_running(self) -> bool:
        return self._is_running

    def start_part(self, name: str) -> None:
        self.processes[name] = {"statename": "RUNNING", "pid": 0}

    def infos(self) -> dict[str, dict[str, Any]]:
        return dict(self.processes)


class QuietHandler(BaseHTTPRequestHandler):
    """Tells the terminal nothing of what it answers."""

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def answering(handler: type[QuietHandler], port: int = 0) -> Iterator[str]:
    """An HTTP server that answers by a handler, on a port or any that is free; its address."""
    web = ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{web.server_port}"
    finally:
        web.shutdown()
        web.server_close()


class Clock:
    """Seconds that a test moves on, or whoever sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


ROW = {"Daily Time Spent on Site": 68.9, "Age": 35, "Area Income": 61833.9, "Daily Internet Usage": 256.1, "Male": 0}
OTHER = {**ROW, "Age": 60, "Daily Internet Usage": 110.0}
"""A row whose prediction is another."""
HEADER, LINE = ",".join(ROW), ",".join(map(str, ROW.values()))
"""The same row as CSV has it."""


def configured(**promotion: Any) -> PipelineConfig:
    """The default configuration, with what is said of `promotion`."""
    return resolve(PipelineConfig(), {"promotion": promotion})


def seen(
    frame: pd.DataFrame,
    config: PipelineConfig | None = None,
    taught: pd.DataFrame | None = None,
) -> gate.Evidence:
    """What a run on a table finds; `taught` has other values for the rows that it learns from."""
    config = config or PipelineConfig()
    roles = preprocess.decide_roles(frame, config)
    train, test = preprocess.split_rows(frame, config)
    learned = frame if taught is None else taught
    known = preprocess.features_of(learned.iloc[train], roles)
    target = preprocess.target_of(learned.iloc[train], roles)
    pipeline = build_pipeline(config, roles).fit(known, target)
    features = preprocess.features_of(frame.iloc[test], roles)
    broken = ""
    try:
        contract.check(frame, config, "test")
    except ContractViolation as error:
        broken = str(error)
    return gate.Evidence(
        features=features,
        target=preprocess.target_of(frame.iloc[test], roles).to_numpy(dtype=float),
        probability=probabilities(pipeline, features),
        pipeline=pipeline,
        known=known.assign(**{"\0target": target.to_numpy()}),
        rows=frame.iloc[test].reset_index(drop=True),
        total=len(frame),
        contract=broken,
    )


def beside(evidence: gate.Evidence, champion: gate.Evidence, rows: int | None = 1000) -> gate.Evidence:
    """The same, with a champion that was trained on something else."""
    probability = probabilities(champion.pipeline, evidence.features)
    return replace(evidence, champion=gate.Champion("7", probability, rows=rows))


def predictions(noise: float, rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """What a run said of its test rows: the target, blurred by so much noise."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, rows)
    signal = np.clip(target * 0.6 + 0.2 + np.random.default_rng(99).normal(size=rows) * noise, 0.01, 0.99)
    return pd.DataFrame({"row": range(rows), "target": target, "probability": signal})


def subject(label: str, table: pd.DataFrame | None, **fields: Any) -> Subject:
    """A run that is compared, with these predictions or none."""
    found = {} if table is None else metrics(table["target"], table["probability"].to_numpy(), "test")
    tags = {"data.digest": "d" * 32, "git.commit": "abc", **fields.pop("tags", {})}
    return Subject(label, f"run-{label}", "m 1", "finished", tags=tags, metrics=found, predictions=table, **fields)


def body(*rows: Any) -> bytes:
    """Rows as JSON, as a prediction is asked for."""
    return json.dumps({"rows": list(rows)}).encode()


def refused(content: bytes, kind: str = "application/json", model: LoadedModel | None = None) -> RequestRefused:
    """Why what is sent gets no prediction."""
    try:
        rows = parse(content, kind, 100)
        assert model is not None
        score(Predictor.of(model), rows)
    except RequestRefused as error:
        return error
    pytest.fail("the request was answered")


def scope_of(
    method: str = "POST", path: str = "/predict", client: str = "127.0.0.1", query: bytes = b"", **headers: str
) -> dict[str, Any]:
    """A request's head as uvicorn has it."""
    told = {"host": "localhost", "content-type": "application/json", **headers}
    return {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "query_string": query,
        "client": (client, 5000),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()],
    }  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """A forest's folder as the service keeps it, and the forest itself."""

    folder: Path
    loaded: LoadedModel

    @property
    def copy(self) -> Copy:
        return Copy(str(self.folder), "forest", "3", self.loaded.sha256)


SCALERS = (StandardScaler, MinMaxScaler)


def random_frame(
    random_: random.Random, rows: int, numbers: list[str], texts: list[str], least: float = 0.02
) -> pd.DataFrame:
    """Numbers of any size and texts, some of them missing."""
    columns: dict[str, Any] = {}
    for name in numbers:
        middle = random_.choice([-1, 1]) * 10 ** random_.uniform(-2, 4)
        width = abs(middle) * 10 ** random_.uniform(math.log10(least), 1)
        values = [random_.gauss(middle, width) for _ in range(rows)]
        columns[name] = [math.nan if random_.random() < 0.05 else value for value in values]
    for name in texts:
        values = [random_.choice(["red", "green", "blue", "x y", "grün", "rare"]) for _ in range(rows)]
        columns[name] = pd.Series([math.nan if random_.random() < 0.05 else value for value in values], dtype=object)
    return pd.DataFrame(columns)


def random_pipeline(random_: random.Random, numbers: list[str], texts: list[str]) -> Pipeline:
    """One of the linear Pipelines that a configuration can ask for, not yet fitted."""
    scalers = random_.sample(SCALERS, random_.randint(0, 2))
    branch: list[Any] = [
        ("impute", SimpleImputer(strategy=random_.choice(["mean", "median"]), keep_empty_features=True))
    ]
    if scalers:
        branch.append(("scale", FeatureUnion([(one.__name__, one()) for one in scalers])))
    branches: list[Any] = [("numbers", Pipeline(branch), numbers)] if numbers else []
    if texts:
        encoder = OneHotEncoder(
            handle_unknown=random_.choice(["ignore", "infrequent_if_exist"]), sparse_output=random_.random() < 0.5,
            min_frequency=random_.choice([None, 5]), drop=random_.choice([None, "if_binary"]),
        )  # fmt: skip
        branches.append(("texts", encoder, texts))
        if random_.random() < 0.5:
            word = random_.choice(["red", "none", ""])
            branches[-1] = ("texts", Pipeline([*word_imputers(word), ("encode", encoder)]), texts)
    random_.shuffle(branches)
    return Pipeline(
        [
            ("columns", ColumnTransformer(branches)),
            ("classify", LogisticRegression(C=10 ** random_.uniform(-2, 2), max_iter=2000)),
        ]
    )


def word_imputers(word: str) -> list[tuple[str, SimpleImputer]]:
    """What fills in a word for a missing text, however a missing one is said."""
    options: dict[str, Any] = {"strategy": "constant", "fill_value": word, "keep_empty_features": True}
    return [
        ("missing", SimpleImputer(missing_values=math.nan, **options)),
        ("none", SimpleImputer(missing_values=None, **options)),
    ]


def loaded_with(pipeline: Any, frame: pd.DataFrame, texts: list[str]) -> LoadedModel:
    """A version with a Pipeline that was fitted on a table."""
    inputs = {name: "string" if name in texts else "double" for name in frame.columns}
    example = frame.head(5).astype(object).where(frame.head(5).notna(), None).to_dict("records")
    return LoadedModel("m", "1", "r", pipeline, inputs, example, "", "")
