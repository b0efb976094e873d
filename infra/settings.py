"""The settings of the embedded stack, read once from the environment. Light: nothing is opened or created here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml.errors import Misconfigured

HOST = "127.0.0.1"

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "installed"
"""What a checkout has beside the packages (`dags/`, `requirements.lock`), where a wheel brought it; `setup.py` puts it
there."""

DEFAULT_PORTS: Mapping[str, int] = {
    "airflow": 8080,
    "mlflow": 5000,
    "serving": 5555,
    "flower": 5556,
    "postgres": 15432,
    "redis": 16379,
    "s3": 19000,
    "smtp": 11025,
}
"""The ports that have a setting, and their defaults."""


def port_setting(name: str) -> str:
    """The setting of a port."""
    return f"TRACKYARD_{name.upper()}_PORT"


INTERNAL_PORTS = ("s3_grpc", "s3_master", "s3_master_grpc", "s3_volume", "s3_volume_grpc", "s3_filer", "s3_filer_grpc")
"""Ports that the S3 server needs for its own parts; they answer nothing without its certificate or keys."""

PART_SETTINGS = {
    # Read by the tasks and the service; the stack sets them for its parts, so finding them here is no mistake.
    "TRACKYARD_S3_ENDPOINT", "TRACKYARD_S3_BUCKET", "TRACKYARD_DATA_BUCKETS",
    "TRACKYARD_AIRFLOW_URL", "TRACKYARD_MLFLOW_URL", "TRACKYARD_SERVING_URL", "TRACKYARD_FLOWER_URL",
    "TRACKYARD_AIRFLOW_API_URL", "TRACKYARD_SERVING_API_URL",
    "TRACKYARD_AIRFLOW_USERNAME", "TRACKYARD_AIRFLOW_PASSWORD", "TRACKYARD_WEBHOOK_SECRET",
    "TRACKYARD_SERVING_TOKEN", "TRACKYARD_SERVING_STATE", "TRACKYARD_SERVING_START",
    "TRACKYARD_MODEL_NAME", "TRACKYARD_GIT_COMMIT", "TRACKYARD_PRELOAD", "TRACKYARD_STACK",
    # Read by the command line for a stack that runs elsewhere, and by the containers.
    "TRACKYARD_REMOTE", "TRACKYARD_ENV_FILE", "TRACKYARD_MAIL_URL", "TRACKYARD_MLFLOW_HOSTS",
    "TRACKYARD_ARTIFACT_BUCKET", "TRACKYARD_BIND_ADDRESSES", "TRACKYARD_IMAGE",
    "TRACKYARD_BACKUP_DATABASE_URL", "TRACKYARD_BACKUP_PASSPHRASE",
}  # fmt: skip

SERVING_SETTINGS = ("TRACKYARD_SERVING_TOKENS", "TRACKYARD_SERVING_HOSTS", "TRACKYARD_SERVING_RATE")
"""What a user may set of the service; it is handed on as it is."""


@dataclass(frozen=True)
class Settings:
    """What a user can set about the embedded stack.

    Attributes:
        root: Where `dags/` and `requirements.lock` are: the checkout, or what an installed wheel brought.
        folder: Where `pipeline.yaml` and the state are by default: the checkout, or, where Trackyard is installed, the
            folder that one works in.
        home: The one folder that holds all state (`TRACKYARD_HOME`).
        ports: The port that was set for each name of `DEFAULT_PORTS`, or None where the default may give way.
        pipeline_file: The file whose values are the pipeline's defaults (`TRACKYARD_PIPELINE_FILE`).
        smtp_url: A mail server to use instead of the local one (`TRACKYARD_SMTP_URL`), empty for the local one.
        worker_slots: How many tasks the worker runs at once (`TRACKYARD_WORKER_SLOTS`).
        min_memory_mb: The free memory, in MiB, below which the stack does not start (`TRACKYARD_MIN_MEMORY_MB`).
        min_disk_mb: The free disk, in MiB, below which the stack does not start (`TRACKYARD_MIN_DISK_MB`).
        start_timeout_s: How long a part may take to become ready (`TRACKYARD_START_TIMEOUT_S`).
        data_hosts: The hosts, separated by commas, that data may be fetched from (`TRACKYARD_DATA_HOSTS`).
        serving: What was set of `SERVING_SETTINGS`, for the service to check.
    """

    root: Path
    folder: Path
    home: Path
    ports: Mapping[str, int | None] = field(default_factory=dict)
    pipeline_file: Path | None = None
    smtp_url: str = ""
    worker_slots: int = 4
    min_memory_mb: int = 2048
    min_disk_mb: int = 512
    start_timeout_s: int = 180
    data_hosts: str = ""
    serving: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Reads the `TRACKYARD_*` variables; `Misconfigured` where one is unknown or its value cannot be used."""
        _refuse_unknown(environ)
        is_installed = _INSTALLED.is_dir()
        folder = Path.cwd() if is_installed else _PACKAGE.parent
        pipeline_file = environ.get("TRACKYARD_PIPELINE_FILE") or folder / "pipeline.yaml"
        return cls(
            root=_INSTALLED if is_installed else _PACKAGE.parent,
            folder=folder,
            home=Path(environ.get("TRACKYARD_HOME") or folder / ".trackyard").expanduser().resolve(),
            ports={name: _whole(environ, port_setting(name), 0, 1, 65535) or None for name in DEFAULT_PORTS},
            pipeline_file=Path(pipeline_file).expanduser().resolve(),
            smtp_url=environ.get("TRACKYARD_SMTP_URL", ""),
            worker_slots=_whole(environ, "TRACKYARD_WORKER_SLOTS", cls.worker_slots, minimum=1),
            min_memory_mb=_whole(environ, "TRACKYARD_MIN_MEMORY_MB", cls.min_memory_mb),
            min_disk_mb=_whole(environ, "TRACKYARD_MIN_DISK_MB", cls.min_disk_mb),
            start_timeout_s=_whole(environ, "TRACKYARD_START_TIMEOUT_S", cls.start_timeout_s, minimum=1),
            data_hosts=_hosts(environ),
            serving={name: environ[name] for name in SERVING_SETTINGS if environ.get(name)},
        )

    @property
    def defaults_file(self) -> Path | None:
        """The pipeline file to read; None where none was named and there is none at the default place."""
        is_left_out = self.pipeline_file == self.folder / "pipeline.yaml" and not self.pipeline_file.exists()
        return None if is_left_out else self.pipeline_file

    @property
    def secrets_file(self) -> Path:
        """The file with every generated secret, mode 0600."""
        return self.home / "secrets.json"

    @property
    def ports_file(self) -> Path:
        """The file that remembers the ports in use."""
        return self.home / "ports.json"

    @property
    def log_dir(self) -> Path:
        """The folder with one log per part."""
        return self.home / "logs"

    @property
    def mail_dir(self) -> Path:
        """The Maildir that the local mail server files mail in."""
        return self.home / "mail"


KNOWN = PART_SETTINGS | {
    "TRACKYARD_HOME",
    "TRACKYARD_PIPELINE_FILE",
    "TRACKYARD_SMTP_URL",
    "TRACKYARD_DATA_HOSTS",
    "TRACKYARD_WORKER_SLOTS",
    "TRACKYARD_MIN_MEMORY_MB",
    "TRACKYARD_MIN_DISK_MB",
    "TRACKYARD_START_TIMEOUT_S",
    *SERVING_SETTINGS,
    *map(port_setting, DEFAULT_PORTS),
}
"""Every `TRACKYARD_*` variable that means something."""


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    unknown = sorted(name for name in environ if name.startswith("TRACKYARD_") and name not in KNOWN)
    if unknown:
        raise Misconfigured(f"unknown setting {', '.join(unknown)}: unset it, or look its name up in docs/settings.md")


def _hosts(environ: Mapping[str, str]) -> str:
    text = environ.get("TRACKYARD_DATA_HOSTS", "")
    for host in filter(None, (word.strip() for word in text.split(","))):
        if not re.fullmatch(r"[A-Za-z0-9_.-]+(:[0-9]{1,5})?", host):
            raise Misconfigured(f"TRACKYARD_DATA_HOSTS has {host!r}: list names such as data.example.org, or name:port")
    return text


def _whole(environ: Mapping[str, str], variable: str, default: int, minimum: int = 0, maximum: int = 2**31) -> int:
    text = environ.get(variable)
    if not text:
        return default
    if not text.isdecimal() or not minimum <= int(text) <= maximum:
        raise Misconfigured(f"{variable} is {text!r}: it must be a whole number from {minimum} to {maximum}")
    return int(text)
