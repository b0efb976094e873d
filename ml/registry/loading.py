"""Loading a registered version without trusting it. Effects: reads from MLflow, writes to a folder of the caller's.

MLflow reads the list of types that a skops file may hold from the model itself, and puts code that comes with a model
on the path. So the file is loaded here: what it is, how large it is and its sha256 are checked first, then that it
holds one of our Pipelines and nothing else, and then skops loads it with our own list.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import ForbiddenType, HashMismatch, Untrusted, one_line
from ml.values import Column

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

log = logging.getLogger(__name__)

TRUSTED_TYPES = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
"""The types beyond skops's own list that our Pipelines hold. The first says how numbers are laid out; the others are
trees as tables of numbers, which `ml.model_file.shapes` has looked through before anything is made of them. None runs
code."""
MODEL_FILE = "model.skops"
READINGS = "trackyard.columns"
"""The key, in the metadata of the MLmodel file, of how the columns are read, as JSON."""
_FOR_OTHERS = {"conda.yaml", "python_env.yaml", "requirements.txt", "serving_input_example.json"}
MAX_FILES = 40
MAX_BYTES = 200 * 2**20
MAX_RATIO = 200
SHA256_TAG = "model.sha256"
EXAMPLE_TAG = "model.example"
"""The version's tag with the probabilities that its input example had when it was trained, as a JSON list."""


@dataclass(frozen=True)
class LoadedModel:
    """A version whose file was checked and loaded.

    Attributes:
        run_id: The MLflow run that made it.
        pipeline: The fitted sklearn Pipeline, from raw columns to a probability; None where it was not opened.
        inputs: The columns that it takes and their MLflow types (`double`, `string`), in order.
        input_example: A few rows, as the model was logged with.
        sha256: Of the model's file.
        model_id: The logged model's id in MLflow.
        columns: How their values are read, as far as the version says it.
        commas: Whether the data that it learned from had decimal commas.
    """

    name: str
    version: str
    run_id: str
    pipeline: Any
    inputs: Mapping[str, str]
    input_example: list[dict[str, Any]]
    sha256: str
    model_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)
    commas: bool = False

    @cached_property
    def readings(self) -> list[Column]:
        """How the value of each of `inputs` is read; a version that does not say takes numbers and categories."""
        kinds = {name: "category" if kind == "string" else "number" for name, kind in self.inputs.items()}
        return [self.columns.get(name) or Column(name, kind) for name, kind in kinds.items()]


def load_verified(
    client: MlflowClient, name: str, version: str, workdir: Path, max_bytes: int = MAX_BYTES
) -> LoadedModel:
    """Downloads a version to an empty folder, checks it, and loads it; the checked files stay there.

    The version is named by its number, never by an alias, which could move in between; `max_bytes` is the most that its
    files may have together.

    Raises:
        HashMismatch: The file is not the one whose sha256 the version carries, or it carries none.
        ForbiddenType: The file holds types outside our list.
        Untrusted: The model is not a plain skops model, brings code, or is too large.
    """
    registered = client.get_model_version(name, version)
    download(client, str(registered.source), workdir, max_bytes)
    tags, run_id = dict(registered.tags), registered.run_id or ""
    return load_folder(workdir, name=name, version=str(version), run_id=run_id, tags=tags)


def download(client: MlflowClient, source: str, folder: Path, max_bytes: int = MAX_BYTES) -> None:
    """Fetches a logged model's files into a folder, but for those that other programs alone read (`_FOR_OTHERS`).

    The source is `models:/<model id>`, as versions of ours carry it.

    Raises:
        Untrusted: The source is something else, or has too many or too large files.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    model_id = source.removeprefix("models:/")
    if model_id in ("", source) or "/" in model_id:
        raise Untrusted(
            f"the version's source {source!r} is no logged model (models:/<id>): it was not made by this pipeline"
        )
    try:
        location = client.get_logged_model(model_id).artifact_location
        repository = get_artifact_repository(location, tracking_uri=client.tracking_uri)
        # The list comes with sizes, so that what is too large is refused before it fills the disk.
        sizes = _sizes(repository)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise Untrusted(f"{source} is gone from MLflow: its version can neither be loaded nor compared") from error
        raise
    size = sum(sizes.values())
    if len(sizes) > MAX_FILES or size > max_bytes:
        raise Untrusted(f"{source} has {len(sizes)} files of {size:,} bytes: more than a model of ours")
    for path in sorted(set(sizes) - _FOR_OTHERS):
        target = folder / path
        if not target.resolve().is_relative_to(folder.resolve()):
            raise Untrusted(f"{source} has a file {path!r}, which lies outside its folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        # By itself, MLflow would ask of each file whether it is a folder.
        repository._download_file(path, str(target))


def _sizes(repository: ArtifactRepository) -> dict[str, int]:
    """The files' sizes in bytes, by their path; of too many files some are left out."""
    sizes: dict[str, int] = {}
    folders = [""]
    while folders and len(sizes) <= MAX_FILES and len(folders) <= MAX_FILES:
        for entry in repository.list_artifacts(folders.pop() or None):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                sizes[entry.path] = entry.file_size or 0
    return sizes


def load_folder(folder: Path, *, name: str, version: str, run_id: str, tags: Mapping[str, str]) -> LoadedModel:
    """Checks and loads a model that was downloaded before; `load_verified` says what is raised."""
    checked = check_folder(folder, name=name, version=version, run_id=run_id, tags=tags)
    content = (folder / MODEL_FILE).read_bytes()
    what = f"{name} version {version}"
    # Once more, of the very bytes that are opened.
    _check_sha256(hashlib.sha256(content).hexdigest(), tags, what)
    return replace(checked, pipeline=_load_skops(content, what))


def check_folder(folder: Path, *, name: str, version: str, run_id: str, tags: Mapping[str, str]) -> LoadedModel:
    """Checks a model as `load_folder` does, but for what is in its file, which is not opened: its `pipeline` is None.

    Whoever can answer without the Pipeline need not hold scikit-learn in memory.
    """
    what = f"{name} version {version}"
    described = _described(folder, what)
    sha256 = sha256_of(folder)
    _check_sha256(sha256, tags, what)
    return LoadedModel(
        name=name,
        version=version,
        run_id=run_id,
        pipeline=None,
        inputs=_inputs(described),
        input_example=_example(folder),
        sha256=sha256,
        model_id=str(described.get("model_id") or ""),
        tags=tags,
        **_readings(described, what),
    )


def _check_sha256(sha256: str, tags: Mapping[str, str], what: str) -> None:
    recorded = tags.get(SHA256_TAG)
    if recorded != sha256:
        raise HashMismatch(
            f"{what}: its file has sha256 {sha256[:12]}, and the version says {(recorded or 'nothing')[:12]}: "
            "it was changed, or not made by this pipeline"
        )


def sha256_of(folder: Path) -> str:
    """The sha256 of a downloaded model's file."""
    with (folder / MODEL_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(folder: Path, what: str) -> dict[str, Any]:
    import yaml

    try:
        described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        flavors = {name: dict(flavor or {}) for name, flavor in described["flavors"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise Untrusted(
            f"{what} has no readable MLmodel file ({type(error).__name__}): it was not made by this pipeline"
        ) from error
    sklearn = flavors.get("sklearn", {})
    if sklearn.get("serialization_format") != "skops" or sklearn.get("pickled_model") != MODEL_FILE:
        raise Untrusted(
            f"{what} is stored as {sklearn.get('serialization_format') or 'no sklearn model'}, not as skops"
        )
    if any(flavor.get("code") for flavor in flavors.values()) or (folder / "code").exists():
        raise Untrusted(f"{what} brings code of its own, which is never run")
    forbidden = set(sklearn.get("skops_trusted_types") or ()) - set(TRUSTED_TYPES)
    if forbidden:
        raise ForbiddenType(f"{what} asks to trust {', '.join(sorted(forbidden))}")
    if not (folder / MODEL_FILE).is_file():
        raise Untrusted(f"{what} has no {MODEL_FILE}")
    return dict(described)


def _load_skops(content: bytes, what: str) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from ml.model_file import shapes, skops_file

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise Untrusted(f"{what}: its file is no skops file") from error
    if len(content) > MAX_BYTES or unpacked > MAX_BYTES or unpacked > MAX_RATIO * len(content):
        raise Untrusted(f"{what}: its file unpacks to {unpacked:,} bytes, which is no model of ours")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            shapes.check(skops_file.read(archive))
        return skops.io.loads(content, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        raise ForbiddenType(f"{what} holds types that are not trusted: {one_line(error, limit=None)}") from error
    except Untrusted as error:
        raise type(error)(f"{what} is none of our Pipelines, so it is not opened: {error}") from error
    except Exception as error:
        raise Untrusted(f"{what}: its file cannot be loaded ({type(error).__name__}: {error})") from error


def _inputs(described: Mapping[str, Any]) -> dict[str, str]:
    signature = described.get("signature") or {}
    return {column["name"]: column["type"] for column in json.loads(signature.get("inputs") or "[]")}


def _readings(described: Mapping[str, Any], what: str) -> dict[str, Any]:
    """How the columns are read, as `model_logging` wrote it into the MLmodel file's metadata."""
    text = (described.get("metadata") or {}).get(READINGS)
    try:
        readings = json.loads(text) if text else {}
        columns = {name: Column.of(name, each) for name, each in readings.get("columns", {}).items()}
        return {"columns": columns, "commas": bool(readings.get("commas"))}
    except (ValueError, TypeError, AttributeError) as error:
        raise Untrusted(f"{what} does not say how its columns are read ({error})") from error


def _example(folder: Path) -> list[dict[str, Any]]:
    path = folder / "input_example.json"
    if not path.exists():
        return []
    example = json.loads(path.read_text())
    return [dict(zip(example["columns"], row, strict=True)) for row in example["data"]]


def frame_of(model: LoadedModel, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as the table that the model takes: its columns in order, numbers as float64, text as objects."""
    from ml.reading.columns import model_frame

    return model_frame({name: [row.get(name) for row in rows] for name in model.inputs}, model.readings)
