"""What the service does not predict by itself, a process of its own predicts: the same to the last bit."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import BadInput, PipelineError, Unavailable, Untrusted
from ml.registry.loading import LoadedModel
from serving.models import prepared
from serving.models.predictor import by_sklearn
from serving.models.scorer import Copy, Scorer
from tests.fakes import Stored
from tests.support import wait_for

COLOURS = ["red", "grün", None, "\ud800half", ""]


@pytest.fixture(scope="module")
def scorer() -> Iterator[Scorer]:
    found = Scorer()
    yield found
    found.close()


def columns(count: int) -> dict[str, Any]:
    random = np.random.default_rng(1)
    ages = random.uniform(0, 100, count)
    ages[::7] = np.nan
    return {
        "Age": ages,
        "Area Income": random.choice([1e30, -1e30, 5e-324, 61234.56789012345, -0.0], count),
        "Colour": [COLOURS[at % len(COLOURS)] for at in range(count)],
    }


def test_numbers_that_the_model_cannot_compute_with_are_the_requests_fault(stored: Stored, scorer: Scorer) -> None:
    far = {**columns(1), "Area Income": np.array([1e99])}

    with pytest.raises(BadInput, match="too large"):
        scorer.probability(stored.copy, far, stored.loaded.inputs)


def test_a_version_that_is_not_linear_is_predicted_elsewhere_bit_for_bit(stored: Stored, scorer: Scorer) -> None:
    predictor = prepared.read(stored.folder, "forest", scorer)

    assert predictor.form is None
    assert predictor.loaded.pipeline is None
    # The last are more bytes than a pipe holds.
    for count in (1, 10_000):
        found = predictor.probability(columns(count))
        assert found.tolist() == by_sklearn(stored.loaded, columns(count)).tolist()


def test_rows_that_the_folded_form_declines_are_predicted_elsewhere(
    folder: Path, model: LoadedModel, tmp_path: Path, scorer: Scorer
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    prepared.write(tmp_path / "copy", model)
    predictor = prepared.read(tmp_path / "copy", "ad-click", scorer)
    assert predictor.form is not None
    # Two numbers far out that cancel each other, so that their rounding is what is left.
    far = {name: np.array([1.0, 1.0]) for name in model.inputs}
    first, second = predictor.form.names[:2]
    weights = predictor.form.weights
    far[first], far[second] = np.array([1e12, 1.0]), np.array([-1e12 * weights[0] / weights[1], 1.0])

    assert predictor.form.probability(far) is None
    assert predictor.probability(far).tolist() == by_sklearn(model, far).tolist()


def test_a_process_that_dies_is_started_again_and_asked_once_more(stored: Stored, scorer: Scorer) -> None:
    predictor = prepared.read(stored.folder, "forest", scorer)
    process = scorer._child._process
    assert process
    process.kill()
    process.wait()

    assert len(predictor.probability(columns(3))) == 3


class Dying(Scorer):
    """Its process is killed before it answers."""

    def _ask(self, copy: Copy, asked: Any, content: Any) -> bytes:
        ended = threading.Event()

        def kill() -> None:
            while not ended.wait(0.01):
                process = self._child._process
                if process:
                    process.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            return super()._ask(copy, asked, content)
        finally:
            ended.set()
            killer.join()


def test_a_process_that_dies_twice_is_told_of(stored: Stored) -> None:
    scorer = Dying()

    with pytest.raises(Unavailable, match=r"forest version 3 cannot predict this: .*2 times \(signal 9, signal 9\)"):
        scorer.load(stored.copy)


def test_a_process_that_hangs_is_ended_and_the_next_one_answers(stored: Stored) -> None:
    scorer = Scorer(patience_s=0.01)
    with pytest.raises(Unavailable, match=r"did not predict within 0\.01 s"):
        scorer.load(stored.copy)
    assert scorer._child._process is None

    scorer._patience_s = 60
    scorer.load(stored.copy)
    scorer.close()


@pytest.mark.parametrize("spoil", ["model.skops", "trackyard.json", "MLmodel"])
def test_a_copy_that_was_changed_is_not_loaded(stored: Stored, scorer: Scorer, tmp_path: Path, spoil: str) -> None:
    shutil.copytree(stored.folder, tmp_path / "copy")
    path = tmp_path / "copy" / spoil
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(Untrusted):
        scorer.load(Copy(str(tmp_path / "copy"), "forest", "3", stored.loaded.sha256))
    with pytest.raises(Untrusted, match="another file"):
        scorer.load(Copy(str(stored.folder), "forest", "3", "0" * 64))


def test_what_the_model_cannot_predict_is_told_with_its_reason(stored: Stored, scorer: Scorer) -> None:
    with pytest.raises(PipelineError, match="Area Income"):
        scorer.probability(stored.copy, {"Age": [1.0]}, {"Age": "double"})


def test_the_process_stays_for_what_is_kept_warm_and_ends_without(stored: Stored) -> None:
    scorer = Scorer(idle_s=0.2)
    scorer.keep_warm("forest", wanted=True)
    scorer.load(stored.copy)
    process = scorer._child._process
    assert process
    scorer.keep_warm("forest", wanted=False)
    wait_for(lambda: process.poll() is not None, "the process to end", 10)


SERVICE = """
import sys, threading
from pathlib import Path
import numpy as np
from serving import app, server
from serving.models import prepared
from serving.models.scorer import Scorer
scorer = Scorer()
predictor = prepared.read(Path(sys.argv[1]), "forest", scorer)
columns = {"Age": np.array([1.0]), "Area Income": np.array([np.nan]), "Colour": ["red"]}
assert 0 <= predictor.probability(columns)[0] <= 1
scorer.close()
print(sorted({"sklearn", "skops", "pandas", "mlflow", "scipy"} & set(sys.modules)))
"""


def test_the_service_itself_imports_nothing_heavy(stored: Stored) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVICE, str(stored.folder)], capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == "[]", done.stderr
