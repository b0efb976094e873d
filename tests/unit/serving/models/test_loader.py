"""The process that opens versions, over a store without a server; and how its end is told."""

from __future__ import annotations

import io
import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ml.errors import HashMismatch, PipelineError, TrackerDown, Untrusted
from ml.registry.loading import MAX_BYTES, SHA256_TAG
from serving.models import prepared
from serving.models.child_process import serve
from serving.models.loader import Loader, answer_to
from tests.fakes import stored
from tests.support import wait_for


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """A store with two versions of a model: a sound one, and one whose hash is another."""
    import mlflow

    before = mlflow.get_tracking_uri()
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        mlflow.set_tracking_uri(uri)
        client = mlflow.MlflowClient(uri)
        client.create_registered_model("ad-click")
        tags = stored(Path(folder) / "model")
        experiment = client.create_experiment("e", artifact_location=f"{folder}/artifacts")
        logged = client.create_logged_model(experiment, name="model")
        client.log_model_artifacts(logged.model_id, f"{folder}/model")
        client.finalize_logged_model(logged.model_id, "READY")
        for sha256 in (tags[SHA256_TAG], "0" * 64):
            client.create_model_version("ad-click", f"models:/{logged.model_id}", tags={SHA256_TAG: sha256})
        yield uri
        mlflow.set_tracking_uri(before)


@pytest.fixture
def opener() -> Iterator[Loader]:
    found = Loader(idle_s=30)
    yield found
    found.close()


def _children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "serving.models.loader" in " ".join(each.cmdline())]


def test_a_version_is_opened_elsewhere_and_read_here(store: str, opener: Loader, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    opener.open(store, "ad-click", "1", tmp_path / "model", MAX_BYTES)

    found = prepared.read(tmp_path / "model", "ad-click")
    assert (found.loaded.version, found.form is not None, len(_children())) == ("1", True, 1)
    (tmp_path / "other").mkdir()
    with pytest.raises(HashMismatch, match="version 2"):
        opener.open(store, "ad-click", "2", tmp_path / "other", MAX_BYTES)
    with pytest.raises(Untrusted, match="more than a model of ours"):
        opener.open(store, "ad-click", "1", tmp_path / "other", 100)
    with pytest.raises(PipelineError, match="not found"):
        opener.open(store, "ad-click", "3", tmp_path / "other", MAX_BYTES)
    assert len(_children()) == 1


def test_a_process_that_is_killed_is_told_of_and_the_next_one_opens(store: str, opener: Loader, tmp_path: Path) -> None:
    opener.open(store, "ad-click", "1", tmp_path, MAX_BYTES)
    (process,) = _children()
    # It takes the question and never answers.
    process.suspend()
    killer = threading.Timer(0.5, process.kill)
    killer.start()
    with pytest.raises(Untrusted, match=r"ad-click version 1 could not be opened: .*signal 9"):
        opener.open(store, "ad-click", "1", tmp_path, MAX_BYTES)
    killer.join()

    (tmp_path / "again").mkdir()
    opener.open(store, "ad-click", "1", tmp_path / "again", MAX_BYTES)
    assert (tmp_path / "again" / "model.skops").exists()


def test_a_process_that_takes_too_long_is_ended(store: str, tmp_path: Path) -> None:
    opener = Loader(patience_s=0.05)

    with pytest.raises(TrackerDown, match="not fetched and opened within"):
        opener.open(store, "ad-click", "1", tmp_path, MAX_BYTES)

    assert _children() == []


def test_a_process_with_nothing_to_do_ends(store: str, tmp_path: Path) -> None:
    opener = Loader(idle_s=0.2)
    opener.open(store, "ad-click", "1", tmp_path, MAX_BYTES)

    wait_for(lambda: not _children(), "the process to end", 10)


def test_every_line_is_answered(store: str, tmp_path: Path) -> None:
    asked = {
        "uri": store, "name": "ad-click", "version": "1", "folder": str(tmp_path), "max_bytes": MAX_BYTES, "bytes": 0,
    }  # fmt: skip
    answers = io.BytesIO()
    questions = f"{json.dumps(asked)}\n{json.dumps({**asked, 'version': '2'})}\n"

    serve(answer_to, io.BytesIO(questions.encode()), answers)

    first, second = map(json.loads, answers.getvalue().splitlines())
    assert first == {"opened": "1", "bytes": 0}
    assert second["error"] == "HashMismatch"
