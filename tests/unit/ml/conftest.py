"""Small real things that the tests of `ml` share: generated rows, a fitted Pipeline, its saved model, the real data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from ml.config.loading import resolve
from ml.config.schema import PipelineConfig
from ml.data import generated
from ml.digest import digest_of
from ml.gate import learned_rows
from ml.history.champion_moves import History
from ml.registry import model_logging, versions
from ml.steps import promotion as decide
from ml.tracking import runs
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline
from tests.fakes import Fitted, MemoryStore, SavedModel
from tests.support import mlflow_in_sqlite

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROOT = Path(__file__).resolve().parents[3]
NAMES = iter(f"decided-{number}" for number in range(100))


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    return generated.generate(300, 7)


@pytest.fixture(scope="session")
def fitted(rows: pd.DataFrame) -> Fitted:
    config = PipelineConfig()
    roles = preprocess.decide_roles(rows, config)
    features, target = preprocess.features_of(rows, roles), preprocess.target_of(rows, roles)
    return Fitted(config, roles, features, target, build_pipeline(config, roles).fit(features, target))


@pytest.fixture(scope="session")
def saved_once(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import mlflow.sklearn

    folder = tmp_path_factory.mktemp("saved") / "model"
    mlflow.sklearn.save_model(path=str(folder), **model_logging.saving_options(fitted.pipeline, fitted.features.head()))
    return folder


@pytest.fixture
def saved(saved_once: Path, tmp_path: Path) -> SavedModel:
    return SavedModel(Path(shutil.copytree(saved_once, tmp_path / "model")))


@pytest.fixture(scope="session")
def real_data() -> pd.DataFrame:
    place = os.environ.get("ADVERTISING_CSV")
    path = Path(place) if place else ROOT.parent / "shared" / "data" / "advertising.csv"
    if not path.is_file():
        pytest.skip("the public advertising.csv is not here: name it in ADVERTISING_CSV")
    return pd.read_csv(path)


@pytest.fixture(scope="session")
def client() -> Iterator[MlflowClient]:
    """A real MLflow store in SQLite, without a server; the experiment `model` keeps its files in a folder."""
    with mlflow_in_sqlite() as found:
        yield found


class _Context(SimpleNamespace):
    """What stands for `ml.steps.context.Context`."""


class Place:
    """A model's bucket and tracker, and runs that got as far as a registered version."""

    def __init__(self, client: MlflowClient) -> None:
        self.client, self.name, self.store = client, next(NAMES), MemoryStore()
        self.count = 0

    def run(self, frame: pd.DataFrame, taught: pd.DataFrame | None = None, **sections: Any) -> Any:
        """A run's context, as the decision finds it."""
        self.count += 1
        config = resolve(PipelineConfig(), {"model": {"name": self.name}, **sections})
        key = runs.run_key(self.name, str(self.count))
        run_id = runs.open_run(self.client, "model", f"run {self.count}", {"run_key": key})
        roles = preprocess.decide_roles(frame, config)
        train, test = preprocess.split_rows(frame, config)
        learned = preprocess.features_of((frame if taught is None else taught).iloc[train], roles)
        labels = preprocess.target_of((frame if taught is None else taught).iloc[train], roles)
        pipeline = build_pipeline(config, roles).fit(learned, labels)
        digest = digest_of(frame)
        tags = {"env.lock_sha256": "10cc", "data.rows": str(len(frame)), "data.digest": digest, "data.uri": "generated"}
        runs.write(self.client, run_id, tags=tags)
        logged = model_logging.log_once(self.client, self.client.get_run(run_id), pipeline, learned)
        made = {"run_key": key, "model.sha256": logged.sha256, "data.digest": digest}
        version = versions.register(self.client, self.name, logged.model_id, run_id, made)
        path = f"runs/{key}/"
        self.store.write_json(config.as_dict(), f"{path}config.json")
        self.store.write_parquet(frame, f"{path}raw.parquet")
        self.store.write_parquet(frame.iloc[train][roles.features], f"{path}X_train.parquet")
        self.store.write_parquet(learned_rows.table(learned, labels), f"{path}{learned_rows.FILE}")
        self.store.write_json({"train": train.tolist(), "test": test.tolist()}, f"{path}rows.json")
        parts = {
            "train": (preprocess.features_of(frame.iloc[train], roles), labels),
            "test": (preprocess.features_of(frame.iloc[test], roles), preprocess.target_of(frame.iloc[test], roles)),
        }
        context = _Context(
            tracker=self.client, store=self.store, config=config, roles=roles, key=key, mlflow_run_id=run_id,
            dag_id="Airflow_Lab2", run_id=f"run {self.count}", version=version, path=lambda name: f"{path}{name}",
            table=lambda name: self.store.read_parquet(f"{path}{name}.parquet"),
            part=parts.get, positions={"train": train.tolist(), "test": test.tolist()}, run_link=lambda: "http://m/run",
            version_link=lambda name, number: f"http://m/{name}/{number}", described_columns={}, commas=False,
            links=lambda name, number: {"Run in MLflow": "http://m/run"},
        )  # fmt: skip
        _Context.run = property(lambda me: self.client.get_run(me.mlflow_run_id))  # type: ignore[attr-defined]
        return context

    @property
    def aliases(self) -> dict[str, str]:
        return versions.aliases(self.client, self.name)

    def tags(self, context: Any) -> dict[str, str]:
        return dict(self.client.get_model_version(self.name, context.version).tags)

    def history(self) -> list[tuple[str | None, str | None, str, str]]:
        entries = History(self.store, self.client, self.name).entries()  # type: ignore[arg-type]
        return [(entry.before, entry.after, entry.way, entry.who) for entry in entries]


@pytest.fixture
def place(client: MlflowClient) -> Place:
    return Place(client)


@pytest.fixture(scope="session")
def data() -> pd.DataFrame:
    return generated.generate(1000, 42)


def promoted(context: Any) -> dict[str, Any]:
    """What the decision about a run comes to."""
    found: dict[str, Any] = decide.promote.__wrapped__(context, context.version)  # type: ignore[attr-defined]
    return found
