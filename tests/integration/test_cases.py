"""Small files of every kind that people have, through the real stack: from the file to the same answer by every way."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from ml import steps
from ml.data import folders
from ml.data.store import Store
from ml.errors import PipelineError
from ml.inspection.inspect import inspect_table
from ml.inspection.pipeline_template import pipeline_yaml
from ml.reading.csv_dialect import Dialect
from ml.reading.tables import RawTable, read_parts, read_table
from ml.registry.batch_scoring import score_file
from ml.registry.loading import load_verified
from ml.settings import TaskSettings
from ml.training import features as preprocess
from tests.support import PIPELINE, RunningStack, real_data, wait_for

CASES = real_data().parent.parent / "cases"
TOLERANCE = 1e-12
# How good a version is and whether it leaks is not what these runs are about; they are to end in a champion.
ANY_VERSION = {"dummy": False, "leak": None, "shrink": None}
# It has two positives, which no split leaves enough of for a model that anybody should use.
TOO_FEW = {"imbalance-1-1000.csv"}
# Each is for one of the processes that the tests are spread over.
GROUPS = 5


@dataclass(frozen=True)
class Case:
    """A file (or a folder), its table, and the configuration that is run on it."""

    path: Path
    raw: RawTable
    config: dict[str, Any]

    @classmethod
    def of(cls, path: Path) -> Case:
        raw = read_parts({str(each.relative_to(path)): each.read_bytes() for each in sorted(path.rglob("*.parquet"))},
                         path.name, 10**7, 10**5) if path.is_dir() else (
            read_table(path.read_bytes(), path.name, 10**7, 10**5, Dialect()))  # fmt: skip
        own = path.with_suffix(".yaml")
        target = "bought" if "bought" in raw.frame.columns else list(raw.frame.columns)[-1]
        text = own.read_text() if own.exists() else pipeline_yaml(inspect_table(raw, target, path.name), "x")
        config = yaml.safe_load(text)
        config["model"] = {**config.get("model", {}), "name": f"case-{path.name.replace('.', '-')}"}
        config["split"] = {**config.get("split", {}), "folds": 0}
        config["promotion"] = {"gate": ANY_VERSION}
        config.pop("notification", None)
        config["data"].pop("uri", None)
        return cls(path, raw, config)

    @property
    def name(self) -> str:
        return str(self.config["model"]["name"])

    def put(self, store: Store) -> str:
        return folders.put_folder(store, self.path) if self.path.is_dir() else store.put_file(self.path)


def cases() -> list[Case]:
    kept = [path for path in sorted(CASES.iterdir()) if path.is_dir() or path.suffix in (".csv", ".parquet")]
    return [Case.of(path) for path in kept if path.name not in TOO_FEW]


def bodies(case: Case, columns: list[str]) -> Iterator[tuple[str, bytes, str]]:
    """The file's rows as a client would send them."""
    if not case.path.is_dir():
        kind = "application/vnd.apache.parquet" if case.path.suffix == ".parquet" else "text/csv"
        yield "the file itself", case.path.read_bytes(), kind
    rows = json.loads(case.raw.frame[columns].astype(object).to_json(orient="records", double_precision=15,
                                                                      date_format="iso"))  # fmt: skip
    if case.path.suffix != ".parquet":
        # The cells are texts, and JSON keeps those as they are.
        yield "rows", json.dumps({"rows": rows}).encode(), "application/json"
        buffer = io.BytesIO()
        pd.DataFrame(rows).to_parquet(buffer)
        yield "Parquet", buffer.getvalue(), "application/vnd.apache.parquet"


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("group", range(GROUPS))
def test_every_case_gets_the_pipelines_own_answer_by_every_way(running: RunningStack, group: int) -> None:
    if not CASES.exists():
        pytest.skip(f"{CASES} is not there")
    store = Store.from_settings(TaskSettings.from_env(running.info.client_environ()))
    given = cases()[group::GROUPS]

    # Airflow does the same around a step whatever the file: some go through it, the others through the steps alone.
    scheduled, others = given[:1], given[1:]
    for case in scheduled:
        running.trigger(case.name, data=case.put(store), config=case.config)
    ended = {case.name: _stepped(case, case.put(store)) for case in others}
    ended |= {case.name: running.finished(case.name, timeout_s=900) for case in scheduled}
    wrong = [problem for case in given for problem in _problems(running, store, case, ended[case.name])]

    assert not wrong, "\n".join(wrong)


def _stepped(case: Case, data: str) -> str:
    """Calls the steps of a run one after the other, as the tasks do, and returns how it ended."""
    run = PIPELINE, case.name
    try:
        steps.load(*run, {"data": data, "config": case.config}, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        steps.preprocess(*run)
        steps.separate(*run)
        version = steps.evaluate(*run, steps.train(*run))
        steps.promote(*run, version)
        steps.report(*run, version)
    except PipelineError as error:
        return f"failed: {error}"
    return "success"


def _problems(running: RunningStack, store: Store, case: Case, state: str) -> Iterator[str]:
    if state != "success":
        yield f"{case.path.name}: {state}: {running.mlflow_run(case.name).data.tags.get('error.message')}"
        return
    key = running.mlflow_run(case.name).data.tags["run_key"]
    roles = preprocess.Roles.from_dict(store.read_json(f"runs/{key}/split.json")["roles"])
    features = preprocess.features_of(store.read_parquet(f"runs/{key}/raw.parquet"), roles)
    with pytest.MonkeyPatch.context() as patch:
        folder = running.home / "case" / case.name
        folder.mkdir(parents=True)
        patch.chdir(folder)
        loaded = load_verified(running.mlflow, case.name, "1", folder)
    expected = loaded.pipeline.predict_proba(features)[:, 1]
    written = io.StringIO()
    scored = score_file(loaded, case.path, written)
    written.seek(0)
    by_file = pd.read_csv(written, dtype=str)[scored.added[0]].astype(float).to_numpy()
    if np.abs(by_file - expected).max() > TOLERANCE:
        yield f"{case.path.name}: predict is off by {np.abs(by_file - expected).max()}"
    url = running.url(f"/models/{case.name}/predict")
    # The model is known before its champion is fetched.
    wait_for(lambda: running.get(f"/models/{case.name}").json()["version"] == "1", f"{case.name} to be served")
    for called, body, kind in bodies(case, list(loaded.inputs)):
        import httpx

        answer = httpx.post(url, content=body, headers={"Content-Type": kind}, timeout=60)
        if answer.status_code != 200:
            yield f"{case.path.name}: {called}: {answer.text[:300]}"
            continue
        off = float(np.abs(np.array(answer.json()["probabilities"]) - expected).max())
        if off > TOLERANCE:
            yield f"{case.path.name}: {called} is off by {off}"
