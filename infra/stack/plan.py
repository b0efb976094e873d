"""What the parts are built from: settings, ports and secrets, and the variables that several of them get."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from tempfile import gettempdir

from infra.credentials import Credentials
from infra.servers import airflow_server, object_store, tracking_server
from infra.settings import HOST, Settings

PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE",
    # Which arithmetic OpenBLAS does: where somebody chose it, a worker must not do another than `trackyard reproduce`.
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE",
)  # fmt: skip
"""The only variables of the user's that reach a part: an AIRFLOW__ or PYTHONPATH of theirs is meant for another."""

FLOWER_USER = "admin"


@cache
def git_commit(root: Path) -> str:
    """The commit of the code, marked `-dirty` where files differ from it; empty where it is not known.

    A wheel brings it in a file: an environment may lie in somebody else's repository, which git would tell of.
    """
    brought = root / "REVISION"
    if brought.exists():
        return brought.read_text(encoding="utf-8").strip()
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


@dataclass(frozen=True)
class Launch:
    """How one part is started: its command line, its variables, and the folder it runs in."""

    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None


@dataclass(frozen=True)
class Plan:
    """Everything that the parts are built from, once settings, ports and secrets are known."""

    settings: Settings
    ports: Mapping[str, int]
    credentials: Credentials

    @property
    def home(self) -> Path:
        """The folder with all state."""
        return self.settings.home

    @cached_property
    def runtime_dir(self) -> Path:
        """Where sockets live: a short path, since the system allows a socket's path about a hundred characters."""
        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path(gettempdir()) / f"trackyard-{digest}"

    def url(self, name: str) -> str:
        """The address of a part that speaks HTTP, by the name of its port."""
        return f"http://{HOST}:{self.ports[name]}"

    def python(self, module: str, *arguments: str) -> list[str]:
        """The command line of a Python module in our own environment."""
        return [sys.executable, "-m", module, *arguments]

    def script(self, name: str, *arguments: str) -> list[str]:
        """The command line of a program that a package installed beside our Python."""
        return [str(Path(sys.executable).parent / name), *arguments]

    def address_env(self) -> dict[str, str]:
        """Where everything is, for the tasks, the DAG files and the service; nothing of it is secret."""
        env = {
            "TRACKYARD_S3_ENDPOINT": self.url("s3"),
            "TRACKYARD_S3_BUCKET": object_store.DATA_BUCKET,
            "TRACKYARD_DATA_BUCKETS": object_store.DATA_BUCKET,
            "TRACKYARD_DATA_HOSTS": self.settings.data_hosts,
            "TRACKYARD_PIPELINE_FILE": str(self.settings.pipeline_file),
            **{f"TRACKYARD_{name.upper()}_URL": self.url(name) for name in ("airflow", "mlflow", "serving", "flower")},
        }
        commit = git_commit(self.settings.root)
        return env | ({"TRACKYARD_GIT_COMMIT": commit} if commit else {})

    def reader_env(self) -> dict[str, str]:
        """What a part gets to ask MLflow and the service, and to write nothing."""
        return {
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "MLFLOW_TRACKING_USERNAME": tracking_server.STATUS,
            "MLFLOW_TRACKING_PASSWORD": self.credentials.mlflow_status_password,
            "TRACKYARD_SERVING_TOKEN": self.credentials.serving_token,
        }

    def task_env(self) -> dict[str, str]:
        """What the tasks and the command line get to reach MLflow and S3."""
        return {
            **self.address_env(),
            **self.reader_env(),
            **tracking_server.client_env(),
            **object_store.key_env(self.credentials),
            "AWS_DEFAULT_REGION": object_store.REGION,
            "MLFLOW_TRACKING_USERNAME": tracking_server.ADMIN,
            "MLFLOW_TRACKING_PASSWORD": self.credentials.mlflow_admin_password,
        }

    def airflow_env(self, *, server: bool) -> dict[str, str]:
        """What an Airflow part gets; only a server part knows the database and signs tokens.

        The DAG files show links and defaults, so the parts that parse them need the addresses as well.
        """
        return airflow_server.env(self.settings, self.ports, self.credentials, server=server) | self.address_env()
