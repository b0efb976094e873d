"""The deployment that the tests of this folder use: docker-compose.yaml itself, brought up on this machine's engine."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.deploy import init_env
from serving.upstream.airflow import AirflowClient
from tests.compose import images
from tests.support import ROOT, clean_environ, free_ports, wait_for

READY_S = 420.0
PUBLISHED = ("AIRFLOW", "MLFLOW", "SERVING", "FLOWER")
BEFORE_SILO = "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z"
"""The S3 image of deployments that were made before the default was Silo: MinIO's last official one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for all images and for two deployments, longer than any other test may take."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(1800))


def _engine() -> str:
    """Why there is no engine to use; empty where there is one."""
    if shutil.which("docker") is None:
        return "there is no docker here"
    done = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else "no Docker engine answers here"


def compose_program() -> list[str]:
    """The Compose of the wheel, or the system's where the engine is too old for that."""
    wheel = [str(Path(sys.executable).parent / "docker-compose")]
    done = subprocess.run([*wheel, "ls", "-q"], capture_output=True, check=False)
    return wheel if done.returncode == 0 else ["docker-compose"]


@dataclass
class Deployment:
    """A project of `docker compose`, and the ways to use it.

    Attributes:
        name: The project's name.
        folder: Where its .env lies.
        program: The command line of Compose.
        files: The compose files.
    """

    name: str
    folder: Path
    program: list[str]
    files: tuple[str, ...] = ("docker-compose.yaml",)

    @cached_property
    def env(self) -> dict[str, str]:
        return init_env.read(self.folder / ".env")

    def url(self, part: str) -> str:
        return f"http://127.0.0.1:{self.env[f'{part.upper()}_PORT']}"

    def compose(self, *arguments: str, timeout_s: float = 600, check: bool = True) -> subprocess.CompletedProcess[str]:
        files = [word for file in self.files for word in ("-f", str(ROOT / file))]
        command = [*self.program, "-p", self.name, "--env-file", str(self.folder / ".env"), *files, *arguments]
        environ = clean_environ(self.folder / "none") | {"COMPOSE_ANSI": "never"}
        environ.pop("TRACKYARD_HOME")
        done = subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"compose {' '.join(arguments)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}")
        return done

    def up(self, *arguments: str) -> None:
        """Starts everything and waits until every service is healthy."""
        modern = self.program[0] != "docker-compose"
        wait = ("--wait", "--wait-timeout", str(int(READY_S))) if modern else ()
        done = self.compose("up", "-d", "--no-build", *wait, *arguments, timeout_s=READY_S + 60, check=False)
        if done.returncode != 0:
            raise AssertionError(f"up failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{self.unwell()}")
        wait_for(lambda: not self.not_healthy(), "every service to be healthy", READY_S)

    def containers(self, service: str = "", *, every: bool = False) -> list[dict[str, Any]]:
        """What the engine knows about the project's containers."""
        filters = ["--filter", f"label=com.docker.compose.project={self.name}"]
        if service:
            filters += ["--filter", f"label=com.docker.compose.service={service}"]
        ids = images.docker("ps", "-q", *(["-a"] if every else []), *filters).stdout.split()
        if not ids:
            return []
        found: list[dict[str, Any]] = json.loads(images.docker("inspect", *ids).stdout)
        return [each for each in found if each["Config"]["Labels"].get("com.docker.compose.oneoff") != "True"]

    def not_healthy(self) -> list[str]:
        """The containers that run and are not well, or not known to be."""
        return [
            each["Name"]
            for each in self.containers()
            if each["State"].get("Health", {}).get("Status", "healthy") != "healthy"
        ]

    def unwell(self) -> str:
        """What the containers that are not well say."""
        told = []
        for each in self.containers(every=True):
            state = each["State"]
            health = state.get("Health", {})
            if state["Running"] and health.get("Status", "healthy") == "healthy":
                continue
            if not state["Running"] and state["ExitCode"] == 0:
                continue
            logs = subprocess.run(
                ["docker", "logs", "--tail", "25", each["Id"]], capture_output=True, text=True, check=False
            )
            last = health.get("Log", [{}])[-1].get("Output", "") if health.get("Log") else ""
            told.append(f"== {each['Name']} {state['Status']} {last}\n{logs.stdout[-2500:]}\n{logs.stderr[-2500:]}")
        return "\n".join(told)

    def kill(self, service: str) -> None:
        """Kills a container's processes from outside, as a crash would; the engine restarts it by itself.

        `docker kill` will not do: the engine takes it for a wish that the container stay down.
        """
        container = self.containers(service)[0]
        restarts, pid = container["RestartCount"], container["State"]["Pid"]
        os.kill(pid, signal.SIGKILL)

        def restarted() -> bool:
            now = self.containers(service)
            return bool(now) and any(
                each["Id"] == container["Id"] and each["RestartCount"] > restarts and each["State"]["Running"]
                for each in now
            )

        wait_for(restarted, f"{service} to be restarted by the engine", 60)

    def cli(self, *arguments: str, timeout_s: float = 400) -> subprocess.CompletedProcess[str]:
        """The command line on the host, with this deployment as the stack that runs elsewhere."""
        environ = clean_environ(self.folder / "none", TRACKYARD_ENV_FILE=str(self.folder / ".env"))
        command = [str(Path(sys.executable).parent / "trackyard"), "--remote", self.url("airflow"), *arguments]
        return subprocess.run(
            command, env=environ, cwd=self.folder, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def cli_json(self, *arguments: str) -> Any:
        done = self.cli(*arguments, "--json")
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}\n{self.unwell()}"
        return json.loads(done.stdout)

    def tool(self, service: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Runs one of the services that are there on demand: `trackyard`, `backup`."""
        return self.compose("run", "--rm", "-T", *options, service, *arguments)

    @cached_property
    def airflow(self) -> AirflowClient:
        return AirflowClient(self.url("airflow"), "admin", self.env["AIRFLOW_ADMIN_PASSWORD"], timeout_s=20)

    def get(self, part: str, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url(part) + path, timeout=20, trust_env=False, **options)

    def forget(self, setting: str) -> None:
        """Takes a setting out of the .env, so that the default of the file holds from the next `up` on."""
        path = self.folder / ".env"
        kept = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith(f"{setting}=")]
        path.write_text("".join(kept))
        self.__dict__.pop("env", None)

    def remove(self) -> None:
        """Stops everything and deletes its volumes."""
        self.compose("--profile", "tls", "--profile", "tools", "down", "-v", "-t", "5", "--remove-orphans", check=False)


def new_deployment(folder: Path, *overrides: str, **settings: str) -> Deployment:
    """A project of its own beside any other, on free ports; nothing is started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{name}_PORT" for name in (*PUBLISHED, "TLS")]
    ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    urls = {f"{name}_URL": f"http://127.0.0.1:{ports[f'{name}_PORT']}" for name in PUBLISHED}
    init_env.write(folder / ".env", {**ports, **urls, **settings})
    further = {name: value for name, value in settings.items() if name not in init_env.SETTINGS}
    with (folder / ".env").open("a") as handle:
        handle.writelines(f"{name}={value}\n" for name, value in further.items())
    files = ("docker-compose.yaml", *(f"infra/compose/{name}.yaml" for name in overrides))
    return Deployment(f"trackyard-test-{secrets.token_hex(3)}", folder, compose_program(), files)


@pytest.fixture(scope="session")
def engine() -> None:
    """Skips where no engine answers, with the reason."""
    why = _engine()
    if why:
        pytest.skip(why)


@pytest.fixture(scope="session")
def built(engine: None) -> float:
    """All images; returns the seconds that building ours took."""
    try:
        images.ensure_base()
        text = (ROOT / "docker-compose.yaml").read_text() + (ROOT / "infra/compose/seaweedfs.yaml").read_text()
        images.ensure_servers([*images.named_in(text), BEFORE_SILO])
    except images.CannotBuild as error:
        pytest.skip(str(error))
    begin = time.monotonic()
    images.build_ours()
    return time.monotonic() - begin


@pytest.fixture(scope="session")
def deployment(built: float, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The file as it is, up and healthy, with the S3 image of before; gone at the end with its volumes."""
    found = new_deployment(tmp_path_factory.mktemp("deployment"), S3_IMAGE=BEFORE_SILO)
    try:
        found.up()
        yield found
    finally:
        found.remove()
