"""What can go wrong when a stack is started, each in one clear line that leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.servers import object_store
from infra.settings import Settings
from infra.stack import control, ports
from infra.stack.health import NotReady
from infra.stack.info import status
from infra.stack.parts import PART_NAMES, PARTS
from infra.stack.preparation import StackError
from infra.stack.processes import processes_of
from infra.stack.supervision import Supervisor
from ml.errors import Misconfigured
from tests.support import ROOT, RunningStack, Silent, clean_environ, free_ports, port_settings, wait_for

pytestmark = pytest.mark.further

TRACKYARD = str(Path(sys.executable).parent / "trackyard")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder for a stack of the test's own; whatever it left running is ended."""
    folder = tmp_path / "state"
    yield folder
    control.down(Settings.from_env(clean_environ(folder)), Silent())


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def _trackyard(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TRACKYARD, *arguments], env=clean_environ(home, **settings), cwd=ROOT,
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def test_a_port_that_was_set_and_is_taken_is_an_error(home: Path, taken: int) -> None:
    done = _trackyard(home, "up", TRACKYARD_MLFLOW_PORT=str(taken))

    assert done.returncode != 0
    assert str(taken) in done.stderr
    assert "TRACKYARD_MLFLOW_PORT" in done.stderr
    assert str(os.getpid()) in done.stderr
    assert "Traceback" not in done.stderr
    assert processes_of(home) == []


def test_a_default_port_that_is_taken_gives_way_and_is_remembered(home: Path) -> None:
    settings = Settings.from_env(clean_environ(home))
    home.mkdir(mode=0o700)
    said: list[str] = []
    others = free_ports(1)

    chosen = ports.choose(settings, said.append, free=lambda port: port != 8080 and port not in others)
    again = ports.choose(settings, said.append, free=lambda port: True)

    assert chosen["airflow"] == 8081
    assert "8080" in said[0]
    assert "TRACKYARD_AIRFLOW_PORT" in said[0]
    assert again["airflow"] == 8081


def test_too_little_memory_is_said_before_anything_starts(home: Path) -> None:
    done = _trackyard(home, "up", TRACKYARD_MIN_MEMORY_MB="100000000", **port_settings())

    assert done.returncode != 0
    assert "memory" in done.stderr
    assert "TRACKYARD_MIN_MEMORY_MB" in done.stderr
    assert processes_of(home) == []


def test_a_pipeline_file_that_is_named_and_missing_is_said_before_anything_starts(home: Path) -> None:
    missing = home.parent / "pipelin.yaml"

    done = _trackyard(home, "up", TRACKYARD_PIPELINE_FILE=str(missing), **port_settings())

    assert done.returncode == 2
    assert f"{missing} does not exist" in done.stderr
    assert processes_of(home) == []


def test_too_little_disk_is_said_before_anything_starts(home: Path) -> None:
    done = _trackyard(home, "up", TRACKYARD_MIN_DISK_MB="2000000000", **port_settings())

    assert done.returncode != 0
    assert "disk" in done.stderr
    assert processes_of(home) == []


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk takes root")
def test_a_disk_that_is_full_is_said_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        done = _trackyard(disk / "state", "up", TRACKYARD_MIN_DISK_MB="0", **port_settings())
        left = processes_of(disk / "state")
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert done.returncode != 0
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert left == []


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk takes root")
def test_a_small_disk_takes_objects_in_both_buckets(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=700m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a disk")
    env = clean_environ(disk / "state", TRACKYARD_START_TIMEOUT_S="400", **port_settings())
    settings = Settings.from_env(env)
    try:
        plan = control.up(settings, Silent(), ("s3",)).plan
        s3 = object_store.client(plan.ports["s3"], plan.credentials)
        for bucket in object_store.BUCKETS:
            s3.put_object(Bucket=bucket, Key="model", Body=os.urandom(20 * 2**20))
            with pytest.raises(ClientError, match="BucketNotEmpty"):
                s3.delete_bucket(Bucket=bucket)
        s3.delete_object(Bucket=object_store.ARTIFACT_BUCKET, Key="model")
        s3.delete_bucket(Bucket=object_store.ARTIFACT_BUCKET)
        part = next(part for part in PARTS if part.name == "s3")
        with pytest.raises(NotReady, match=r"bucket 'mlflow' is gone: 'trackyard up'"):
            part.look(plan)
        assert "both buckets" in part.look(plan, at_start=True)
    finally:
        control.down(settings, Silent())
        subprocess.run(["umount", str(disk)], check=True)


def test_an_unknown_setting_is_named(home: Path) -> None:
    done = _trackyard(home, "status", TRACKYARD_AIRFLOW_PROT="1")

    assert done.returncode == 2
    assert "TRACKYARD_AIRFLOW_PROT" in done.stderr


def test_a_folder_with_other_files_is_left_alone(home: Path) -> None:
    home.mkdir()
    (home / "thesis.txt").write_text("mine")

    done = _trackyard(home, "up", **port_settings())

    assert done.returncode != 0
    assert "TRACKYARD_HOME" in done.stderr
    assert [path.name for path in home.iterdir()] == ["thesis.txt"]


def test_a_part_that_cannot_start_is_named_with_its_log(home: Path) -> None:
    settings = Settings.from_env(clean_environ(home, **port_settings()))
    broken = home / "postgres"
    broken.mkdir(parents=True, mode=0o700)
    (home / "CACHEDIR.TAG").write_text(
        "Signature: 8a477f597d28d172789f06886806bc55\n# The state of a Trackyard stack.\n"
    )
    (broken / "PG_VERSION").write_text("7.1\n")

    with pytest.raises(StackError, match="postgres did not start") as caught:
        control.up(settings, Silent())

    assert any("trackyard logs postgres" in line for line in caught.value.hint)
    assert processes_of(home) == []


def test_a_second_up_starts_nothing_twice(running: RunningStack) -> None:
    before = {process.pid for process in processes_of(running.home)}

    done = running.cli("up")

    assert done.returncode == 0, done.stderr
    started = {part: running.pid(part) for part in PART_NAMES}
    assert set(started.values()) <= before


def test_an_up_that_was_killed_half_way_is_taken_up_by_the_next(home: Path) -> None:
    env = clean_environ(home, TRACKYARD_START_TIMEOUT_S="400", **port_settings())
    settings = Settings.from_env(env)
    first = subprocess.Popen([TRACKYARD, "up"], env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def half_way() -> bool:
        known = ports.remembered(settings)
        return bool(known) and not ports.is_free(known["postgres"])

    wait_for(half_way, "PostgreSQL to listen")
    first.send_signal(signal.SIGKILL)
    first.wait()

    info = control.up(settings, Silent())

    assert {part.state for part in status(info)} == {"ready"}
    # The manager itself may be killed as well: the next start ends what it left and starts afresh.
    manager = int(Supervisor(info.plan).pid_file.read_text())
    os.kill(manager, signal.SIGKILL)
    wait_for(lambda: not Supervisor(info.plan).is_running(), "the manager to be gone")
    control.down(settings, Silent())
    assert processes_of(home) == []


def test_wipe_deletes_only_what_up_made(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("mine")

    with pytest.raises(Misconfigured, match="was not made by"):
        control.wipe(Settings.from_env(clean_environ(other)))

    assert (other / "file").exists()
