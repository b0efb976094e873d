"""The service on the real stack: hostile models, promotions under load, slow senders, restarts, tokens, webhooks."""

from __future__ import annotations

import json
import pickle
import shutil
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from infra.stack.parts import PARTS
from ml.registry.loading import SHA256_TAG, sha256_of
from tests.integration.conftest import Trained
from tests.integration.test_limits import ROW
from tests.support import RunningStack, clean_environ, free_ports, wait_for

NAME = "ad-click"


def predicted(running: RunningStack, client: httpx.Client | None = None, name: str = "") -> httpx.Response:
    path = f"/models/{name}/predict" if name else "/predict"
    return (client or httpx).post(running.url(path), json={"rows": [ROW]}, timeout=30)


def register(running: RunningStack, folder: Path, name: str = NAME, **tags: str) -> str:
    """Puts a folder into MLflow as a logged model and registers it, as somebody by hand would."""
    from mlflow.entities import LoggedModelStatus

    client = running.mlflow
    experiment = client.get_experiment_by_name("by-hand")
    experiment_id = experiment.experiment_id if experiment else client.create_experiment("by-hand")
    made = client.create_logged_model(experiment_id, name="model")
    client.log_model_artifacts(made.model_id, str(folder))
    client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    version = client.create_model_version(name, f"models:/{made.model_id}", model_id=made.model_id, tags=tags)
    return str(version.version)


@pytest.fixture
def good(running: RunningStack, real_run: Trained, tmp_path: Path) -> Path:
    """The files of the version that the first run made."""
    from ml.registry.loading import download

    folder = tmp_path / "good"
    folder.mkdir()
    source = running.mlflow.get_model_version(NAME, real_run.version).source
    download(running.mlflow, str(source), folder)
    return folder


@pytest.fixture
def champion(running: RunningStack, real_run: Trained) -> Iterator[str]:
    """The first run's version, live before and after."""

    def serve() -> None:
        running.mlflow.set_registered_model_alias(NAME, "champion", real_run.version)
        wait_for(lambda: running.status()["model"]["version"] == real_run.version, "the champion to be live")

    serve()
    yield real_run.version
    serve()


class Evil:
    """Leaves a file where it was unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self._mark, "unpickled"))


def _pickled(folder: Path, mark: Path) -> None:
    (folder / "model.skops").unlink()
    (folder / "model.pkl").write_bytes(pickle.dumps(Evil(mark)))
    _describe(folder, serialization_format="pickle", pickled_model="model.pkl")


def _pickle_under_our_name(folder: Path, mark: Path) -> None:
    (folder / "model.skops").write_bytes(pickle.dumps(Evil(mark)))


def _trusting_itself(folder: Path, mark: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    (folder / "model.skops").write_bytes(skops.io.dumps(FunctionTransformer(_of_ours)))
    _describe(folder, skops_trusted_types=["tests.integration.test_service._of_ours"])


def _untrusted_and_silent(folder: Path, mark: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    (folder / "model.skops").write_bytes(skops.io.dumps(FunctionTransformer(_of_ours)))


def _of_ours(value: Any) -> Any:
    return value


def _with_code(folder: Path, mark: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "sitecustomize.py").write_text(f"open({str(mark)!r}, 'w').write('ran')")
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["python_function"]["code"] = "code"
    (folder / "MLmodel").write_text(yaml.safe_dump(described))


def _bomb(folder: Path, mark: Path) -> None:
    with zipfile.ZipFile(folder / "model.skops", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b"0" * 300 * 2**20)


def _many_files(folder: Path, mark: Path) -> None:
    for number in range(60):
        (folder / f"more{number}").write_text("x")


def _other_answers(folder: Path, mark: Path) -> None:
    """A sound file whose recorded probabilities are of another one."""


def _describe(folder: Path, **changes: Any) -> None:
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["sklearn"] |= changes
    (folder / "MLmodel").write_text(yaml.safe_dump(described))


HOSTILE: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "pickle": (_pickled, "not as skops"),
    "pickle under our name": (_pickle_under_our_name, "no skops file"),
    "skops with its own trust list": (_trusting_itself, "asks to trust"),
    "skops with what nobody trusts": (_untrusted_and_silent, "not trusted"),
    "code_paths": (_with_code, "brings code"),
    "zip bomb": (_bomb, "unpacks to"),
    "many files": (_many_files, "files"),
    "other answers": (_other_answers, "otherwise than recorded"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_model_is_refused_and_counted_while_the_old_one_serves(
    running: RunningStack, champion: str, good: Path, tmp_path: Path, kind: str
) -> None:
    mark = tmp_path / "mark"
    spoil, reason = HOSTILE[kind]
    spoil(good, mark)
    tags = {"model.example": "[0.5, 0.5, 0.5, 0.5, 0.5]"} if kind == "other answers" else {}
    if (good / "model.skops").exists():
        tags[SHA256_TAG] = sha256_of(good)
    refused_before = running.status()["model"]["refusals"]
    version = register(running, good, **tags)
    running.mlflow.set_registered_model_alias(NAME, "champion", version)

    error = wait_for(lambda: running.status()["model"]["error"], "the refusal to be told")

    found = running.status()["model"]
    assert reason in error
    assert f"version {version}" in error
    assert found["refusals"] > refused_before
    assert found["version"] == champion
    assert predicted(running).json()["model"]["version"] == champion
    assert f'trackyard_model_refusals{{model="{NAME}"}} {found["refusals"]}' in running.get("/metrics").text
    assert not mark.exists()


def test_a_hundred_promotions_under_load_lose_and_mix_nothing(
    running: RunningStack, champion: str, good: Path, tmp_path: Path
) -> None:
    loose = ("--set", "promotion.gate.margin=1000")
    other = running.cli_json("run", "--set", "model.parameters.C=0.01", *loose)["model"]["version"]
    versions = [champion, str(other)]
    expected: dict[str, float] = {}
    for version in reversed(versions):
        running.mlflow.set_registered_model_alias(NAME, "champion", version)
        wait_for(lambda v=version: running.status()["model"]["version"] == v, f"version {version} to be live")
        expected[version] = predicted(running).json()["probabilities"][0]
    assert abs(expected[versions[0]] - expected[versions[1]]) > 1e-6
    wrong: list[Any] = []
    seen: set[str] = set()
    stop = threading.Event()

    def promote() -> None:
        for number in range(100):
            running.mlflow.set_registered_model_alias(NAME, "champion", versions[number % 2])
        stop.set()

    def ask(number: int) -> None:
        # 50 a second, until 5,000 were sent.
        time.sleep(max(0.0, started + number / 50 - time.monotonic()))
        answer = predicted(running, client)
        found = answer.json()
        version = found.get("model", {}).get("version")
        seen.add(version)
        is_whole = answer.status_code == 200 and answer.headers["X-Model-Version"] == version
        if not is_whole or found["probabilities"] != [expected[version]]:
            wrong.append(found)

    promoting = threading.Thread(target=promote)
    with httpx.Client(limits=httpx.Limits(max_connections=16)) as client, ThreadPoolExecutor(16) as pool:
        started = time.monotonic()
        promoting.start()
        list(pool.map(ask, range(5000)))
    promoting.join()

    assert wrong == []
    assert stop.is_set()
    assert seen == set(versions)


def test_a_version_is_live_within_two_seconds_and_its_promoter_is_told(running: RunningStack, champion: str) -> None:
    other = (
        next(
            str(one.version)
            for one in reversed(running.versions())
            if "validation" in one.tags and str(one.version) != champion
        )
        if len(running.versions()) > 1
        else champion
    )
    assert running.cli("promote", other, "--reason", "because of <b>").returncode == 0

    wait_for(lambda: running.status()["model"]["version"] == other, "the version to be live")
    # It may have been promoted before, for another reason.
    wait_for(
        lambda: (running.status()["model"]["promoted"] or {}).get("reason") == "because of <b>",
        "the promoter to be told", 15,
    )  # fmt: skip

    assert "<b>" + "</b>" not in running.get("/dashboard").text
    assert "because of <b>" not in running.get("/dashboard").text


def test_another_model_is_served_beside(running: RunningStack, champion: str, good: Path) -> None:
    name = "another model"
    running.mlflow.create_registered_model(name)
    version = register(running, good, name, **{SHA256_TAG: sha256_of(good)})
    running.mlflow.set_registered_model_alias(name, "champion", version)

    answer = wait_for(
        lambda: (a := predicted(running, name=name)).status_code == 200 and a, "the other model to be live"
    )

    assert answer.json()["model"] == {"name": name, "version": version}
    assert {name, NAME} <= {one["name"] for one in running.get("/models").json()["models"]}
    assert predicted(running).json()["model"]["name"] == NAME
    running.mlflow.delete_registered_model(name)


def test_many_slow_senders_hold_nobody_up_and_are_cut_off(running: RunningStack, champion: str) -> None:
    port = running.info.plan.ports["serving"]
    head = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    )
    slow = []
    for _ in range(60):
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        connection.sendall(head)
        slow.append(connection)
    try:
        assert running.get("/status").status_code == 200
        assert predicted(running).status_code == 200
        assert slow[0].recv(100).startswith(b"HTTP/1.1 408")
    finally:
        for connection in slow:
            connection.close()


def test_mlflow_tells_the_service_by_its_webhook(running: RunningStack, champion: str) -> None:
    def taken() -> int:
        lines = running.get("/metrics").text.splitlines()
        found = [
            line for line in lines if line.startswith('trackyard_requests_total{route="/webhooks/mlflow",status="204"}')
        ]
        return int(float(found[0].split()[-1])) if found else 0

    before = taken()
    running.mlflow.set_registered_model_alias(NAME, "challenger", champion)

    wait_for(lambda: taken() > before, "the webhook to arrive")


def test_a_token_is_made_listed_used_and_revoked(running: RunningStack, champion: str) -> None:
    token = running.cli("token", "create", "ada", "--scope", "operate").stdout.strip()
    listed = running.cli_json("token", "list")
    (token_id,) = [one["id"] for one in listed if one["note"] == "ada" and not one["revoked_at"]]
    headers = {"Authorization": f"Bearer {token}"}

    assert httpx.post(running.url("/refresh"), timeout=60).status_code == 401
    assert httpx.post(running.url("/refresh"), headers=headers, timeout=60).status_code == 202
    assert running.cli("token", "revoke", token_id).returncode == 0
    assert httpx.post(running.url("/refresh"), headers=headers, timeout=60).status_code == 401
    assert token.split("_", 2)[2] not in running.cli("token", "list").stdout


def test_what_was_begun_is_finished_when_the_service_is_stopped(running: RunningStack, champion: str) -> None:
    rows = json.dumps({"rows": [ROW] * 5000}).encode()
    answers: list[int] = []

    def ask() -> None:
        headers = {"Content-Type": "application/json"}
        try:
            answers.append(httpx.post(running.url("/predict"), content=rows, headers=headers, timeout=60).status_code)
        except httpx.ConnectError:
            # It came after the door was closed, so nothing of it was begun.
            return

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for one in asking:
        one.start()
    wait_for(lambda: answers, "the first answer")
    supervisor = shutil.which("kill") or "kill"
    subprocess.run([supervisor, "-TERM", str(running.pid("serving"))], check=True)
    for one in asking:
        one.join()
    wait_for(lambda: running.get("/ready").status_code == 200, "the service to be back")

    assert set(answers) == {200}


@pytest.fixture
def two_workers(running: RunningStack, tmp_path: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The service once more, with two worker processes and a folder of its own: its address and its main process."""
    plan = running.info.plan
    launch = next(part for part in PARTS if part.name == "serving").launch(plan)
    (port,) = free_ports(1)
    command = [*launch.command[:-1], str(port), "--workers", "2"]
    env = {**clean_environ(plan.home), **launch.env, "TRACKYARD_SERVING_STATE": str(tmp_path / "serving")}
    with (tmp_path / "log").open("wb") as log:
        started = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        wait_for(lambda: started.poll() is None and httpx.get(f"http://127.0.0.1:{port}/ready").is_success, "it")
        yield f"http://127.0.0.1:{port}", psutil.Process(started.pid)
    finally:
        started.kill()
        started.wait()


def test_every_worker_follows_the_champion_and_ends_with_its_main_process(
    running: RunningStack, champion: str, good: Path, two_workers: tuple[str, psutil.Process]
) -> None:
    url, main = two_workers

    def versions_told() -> set[str]:
        # A connection of its own each time, since a connection stays with its worker.
        answers = [httpx.post(f"{url}/predict", json={"rows": [ROW]}, timeout=30) for _ in range(30)]
        return {answer.headers.get("X-Model-Version", "none") for answer in answers}

    wait_for(lambda: versions_told() == {champion}, "both workers to serve")
    other = register(running, good, **{SHA256_TAG: sha256_of(good)})
    running.mlflow.set_registered_model_alias(NAME, "champion", other)
    wait_for(lambda: versions_told() == {other}, "both workers to change over")

    workers = [each for each in main.children() if "spawn_main" in " ".join(each.cmdline())]
    assert len(workers) == 2
    main.kill()
    for worker in workers:
        wait_for(lambda worker=worker: not worker.is_running(), "the worker to end")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health", timeout=60)
