"""A model's file is trusted only when it is what was recorded and holds nothing but what our Pipelines hold."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from mlflow.entities import FileInfo
from mlflow.store.artifact import artifact_repository_registry

from ml.errors import ForbiddenType, HashMismatch, Untrusted
from ml.registry.loading import LoadedModel, download, frame_of, load_folder

if TYPE_CHECKING:
    from tests.fakes import Fitted, SavedModel


class Foreign:
    """A type that is none of ours."""

    def __init__(self) -> None:
        self.word = "hello"


class Opens:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def load(saved: SavedModel, tags: dict[str, str] | None = None) -> LoadedModel:
    return load_folder(
        saved.folder, name="ad-click", version="3", run_id="run", tags=saved.tags if tags is None else tags
    )


def describe(saved: SavedModel, change: dict[str, Any]) -> None:
    """Changes the sklearn flavor in the MLmodel file."""
    path = saved.folder / "MLmodel"
    described = yaml.safe_load(path.read_text())
    described["flavors"]["sklearn"].update(change)
    path.write_text(yaml.safe_dump(described))


def test_a_saved_model_loads_and_predicts_the_same(saved: SavedModel, fitted: Fitted) -> None:
    loaded = load(saved)

    assert (loaded.name, loaded.version, loaded.run_id) == ("ad-click", "3", "run")
    assert list(loaded.inputs) == list(fitted.features.columns)
    assert set(loaded.inputs.values()) == {"double"}
    assert len(loaded.input_example) == 5
    expected = fitted.pipeline.predict_proba(fitted.features.head())
    assert (loaded.pipeline.predict_proba(frame_of(loaded, loaded.input_example)) == expected).all()


def test_rows_become_the_table_that_the_model_takes(saved: SavedModel) -> None:
    loaded = load(saved)

    frame = frame_of(loaded, [{"Age": 30, "Male": None, "unknown": 1}])

    assert list(frame.columns) == list(loaded.inputs)
    assert frame["Age"].tolist() == [30.0]
    assert np.isnan(frame["Male"].iloc[0])


@pytest.mark.parametrize("tags", [{}, {"model.sha256": "0" * 64}])
def test_a_hash_that_is_missing_or_differs_is_refused(saved: SavedModel, tags: dict[str, str]) -> None:
    with pytest.raises(HashMismatch, match="ad-click version 3"):
        load(saved, tags)


def test_a_changed_file_is_refused(saved: SavedModel) -> None:
    tags = saved.tags
    with (saved.folder / "model.skops").open("ab") as handle:
        handle.write(b"x")

    with pytest.raises(HashMismatch):
        load(saved, tags)


@pytest.mark.parametrize("form", ["pickle", "cloudpickle", None])
def test_another_serialization_is_refused(saved: SavedModel, form: str | None) -> None:
    describe(saved, {"serialization_format": form, "pickled_model": "model.pkl"})

    with pytest.raises(Untrusted, match="not as skops"):
        load(saved)


def test_a_pickle_under_the_name_of_a_skops_file_is_refused_and_not_run(saved: SavedModel, tmp_path: Path) -> None:
    made = tmp_path / "made-by-the-pickle"
    (saved.folder / "model.skops").write_bytes(pickle.dumps(Opens(made)))

    with pytest.raises(Untrusted, match="no skops file"):
        load(saved)

    assert not made.exists()


def test_a_foreign_type_is_refused(saved: SavedModel) -> None:
    import skops.io

    skops.io.dump(Foreign(), saved.folder / "model.skops")

    with pytest.raises(ForbiddenType, match="Foreign"):
        load(saved)


def test_a_foreign_function_inside_a_pipeline_is_refused(saved: SavedModel) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(func=os.system), saved.folder / "model.skops")

    with pytest.raises(ForbiddenType):
        load(saved)


def test_a_model_that_asks_for_trust_of_its_own_is_refused(saved: SavedModel) -> None:
    describe(saved, {"skops_trusted_types": ["numpy.dtype", "posix.system"]})

    with pytest.raises(ForbiddenType, match=r"posix\.system"):
        load(saved)


def test_code_of_its_own_is_refused(saved: SavedModel) -> None:
    describe(saved, {"code": "code"})

    with pytest.raises(Untrusted, match="brings code"):
        load(saved)


def test_a_code_folder_is_refused(saved: SavedModel) -> None:
    (saved.folder / "code").mkdir()

    with pytest.raises(Untrusted, match="brings code"):
        load(saved)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(saved: SavedModel) -> None:
    with zipfile.ZipFile(saved.folder / "model.skops", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", json.dumps({"a": 1}))
        archive.writestr("1.npy", b"\0" * 60_000_000)

    with pytest.raises(Untrusted, match="unpacks to"):
        load(saved)


def test_a_zip_without_a_model_is_refused(saved: SavedModel) -> None:
    with zipfile.ZipFile(saved.folder / "model.skops", "w") as archive:
        archive.writestr("hello.txt", "hello")

    with pytest.raises(Untrusted, match="cannot be loaded"):
        load(saved)


@pytest.mark.parametrize("content", ["", "[]", "flavors: 3", "flavors: {sklearn: 3}", "{", "a: b"])
def test_a_description_that_is_none_is_refused(saved: SavedModel, content: str) -> None:
    (saved.folder / "MLmodel").write_text(content)

    with pytest.raises(Untrusted):
        load(saved)


@pytest.mark.parametrize("name", ["MLmodel", "model.skops"])
def test_a_missing_file_is_told(saved: SavedModel, name: str) -> None:
    tags = saved.tags
    (saved.folder / name).unlink()

    with pytest.raises(Untrusted):
        load(saved, tags)


@pytest.mark.parametrize(
    "source", ["s3://bucket/model", "file:///etc", "runs:/x/model", "models:/ad-click/1", "models:/"]
)
def test_only_logged_models_are_downloaded(source: str, tmp_path: Path) -> None:
    with pytest.raises(Untrusted):
        download(None, source, tmp_path)  # type: ignore[arg-type]


class _Listed:
    """A client, and the store of files that it names, with a list of them; what is fetched is written down."""

    artifact_location = "mlflow-artifacts:/1/models/m-1"
    tracking_uri = "http://127.0.0.1:1"

    def __init__(self, *paths: str) -> None:
        self.paths = paths
        self.fetched: list[str] = []

    def get_logged_model(self, model_id: str) -> _Listed:
        return self

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        return [FileInfo(each, is_dir=False, file_size=10) for each in self.paths]

    def _download_file(self, path: str, target: str) -> None:
        self.fetched.append(path)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _Listed]:
    def make(*paths: str) -> _Listed:
        there = _Listed(*paths)
        monkeypatch.setattr(artifact_repository_registry, "get_artifact_repository", lambda *_, **__: there)
        return there

    return make


@pytest.mark.parametrize("path", ["../beside.txt", "data/../../beside.txt", "/beside.txt"])
def test_a_file_that_would_lie_outside_is_not_fetched(
    listed: Callable[..., _Listed], path: str, tmp_path: Path
) -> None:
    client = listed(path)

    with pytest.raises(Untrusted, match="outside its folder"):
        download(client, "models:/m-1", tmp_path / "model")  # type: ignore[arg-type]

    assert client.fetched == []


def test_only_what_loading_reads_is_fetched(listed: Callable[..., _Listed], tmp_path: Path) -> None:
    client = listed("MLmodel", "model.skops", "conda.yaml", "input_example.json")

    download(client, "models:/m-1", tmp_path)  # type: ignore[arg-type]

    assert client.fetched == ["MLmodel", "input_example.json", "model.skops"]


def test_too_many_bytes_are_refused_before_the_first_is_fetched(listed: Callable[..., _Listed], tmp_path: Path) -> None:
    client = listed("MLmodel", "model.skops")

    with pytest.raises(Untrusted, match="2 files of 20 bytes"):
        download(client, "models:/m-1", tmp_path, max_bytes=19)  # type: ignore[arg-type]

    assert client.fetched == []
