"""Writes .env, the secrets and settings of `docker compose up`: `trackyard init-env`, or `make env` without an install.

Needs Python's standard library alone. Effects: writes one file.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ml.errors import BadInput, Misconfigured, PipelineError

# Hexadecimal: it stands in addresses, in YAML and in shell scripts, and must mean the same in each.
_password = partial(secrets.token_hex, 16)
_signing_key = partial(secrets.token_hex, 64)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _access_key() -> str:
    return "TY" + secrets.token_hex(9).upper()


SECRETS: Mapping[str, tuple[Callable[[], str], str]] = {
    "AIRFLOW_ADMIN_PASSWORD": (_password, "Airflow's pages, account admin"),
    "MLFLOW_ADMIN_PASSWORD": (_password, "MLflow's pages, account admin"),
    "FLOWER_PASSWORD": (_password, "Flower's pages, account admin"),
    "AIRFLOW_STATUS_PASSWORD": (_password, "the service's read-only account in Airflow"),
    "MLFLOW_STATUS_PASSWORD": (_password, "the service's read-only account in MLflow"),
    "MLFLOW_PIPELINE_PASSWORD": (_password, "the workers' account in MLflow"),
    "POSTGRES_PASSWORD": (_password, "PostgreSQL's superuser; the jobs alone use it"),
    "AIRFLOW_DB_PASSWORD": (_password, "the owner of Airflow's database"),
    "MLFLOW_DB_PASSWORD": (_password, "the owner of MLflow's databases"),
    "CELERY_DB_PASSWORD": (_password, "the owner of the database of Celery's results"),
    "REDIS_PASSWORD": (_password, "the queue"),
    "SERVING_TOKEN": (_password, "the service's token for the stack's own parts"),
    "WEBHOOK_SECRET": (_password, "signs what MLflow tells the service"),
    "MLFLOW_WEBHOOK_KEY": (_fernet_key, "encrypts that secret in MLflow's database"),
    "S3_ROOT_KEY": (_access_key, "the store's own key; the jobs alone use it"),
    "S3_ROOT_SECRET": (_password, ""),
    "S3_MLFLOW_KEY": (_access_key, "MLflow's key: its bucket and nothing else"),
    "S3_MLFLOW_SECRET": (_password, ""),
    "S3_WORKER_KEY": (_access_key, "the workers' key: the data bucket and nothing else"),
    "S3_WORKER_SECRET": (_password, ""),
    "AIRFLOW_FERNET_KEY": (_fernet_key, "encrypts connections in Airflow's database: a restored backup needs the same"),
    "AIRFLOW_API_SECRET": (_signing_key, "signs requests for logs"),
    "AIRFLOW_JWT_SECRET": (_signing_key, "signs tokens"),
    "MLFLOW_FLASK_SECRET": (_signing_key, "signs MLflow's forms"),
}
"""Every secret of docker-compose.yaml: how it is made, and what it is for."""

SETTINGS: Mapping[str, tuple[str, str]] = {
    "BIND_ADDRESS": (
        "127.0.0.1",
        "where the four ports are published, without encryption; for others use --profile tls and TLS_BIND_ADDRESS",
    ),
    "AIRFLOW_PORT": ("8080", ""),
    "MLFLOW_PORT": ("5000", ""),
    "SERVING_PORT": ("5555", ""),
    "FLOWER_PORT": ("5556", ""),
    "AIRFLOW_URL": ("http://127.0.0.1:8080", "the addresses in a browser, for links"),
    "MLFLOW_URL": ("http://127.0.0.1:5000", ""),
    "SERVING_URL": ("http://127.0.0.1:5555", ""),
    "FLOWER_URL": ("http://127.0.0.1:5556", ""),
    "SERVING_TOKENS": (
        "none",
        "who needs a token of the service's: none, or all, which it must be where an address lets others in",
    ),
    "SERVING_HOSTS": ("localhost,127.0.0.1", "the names by which the service may be asked, as in SERVING_URL"),
    "MLFLOW_HOSTS": (
        "localhost,localhost:*,127.0.0.1,127.0.0.1:*,mlflow,mlflow:*",
        "the names by which MLflow may be asked",
    ),
    "DATA_HOSTS": (
        "",
        "hosts that data may be fetched from over http(s), by commas, with infra/compose/web-data.yaml; empty: none",
    ),
    "TLS_DOMAIN": ("localhost", "of --profile tls: https://airflow.TLS_DOMAIN:TLS_PORT and so on"),
    "TLS_PORT": ("8443", ""),
    "TLS_BIND_ADDRESS": ("127.0.0.1", "where that port is published: 0.0.0.0 for everybody"),
    "TLS_ISSUER": ("internal", "certificates: internal, or a mail address for those of Let's Encrypt"),
    "PIPELINE_FILE": ("./pipeline.yaml", "the defaults of every run"),
    "WORKER_SLOTS": ("4", "how many tasks a worker runs at once"),
    "BACKUP_PASSPHRASE": ("", "closes the key inside a backup; empty leaves it there in clear"),
    "SMTP_URL": (
        "",
        "a mail server: smtp://user:password@mail.example.com:587?from=me@example.com; empty keeps mail here",
    ),
}
"""The settings that people change, with their defaults."""


def text(environ: Mapping[str, str]) -> str:
    """The content of a new .env; a setting that `environ` has keeps its value, a secret never comes from there."""
    lines = [
        "# The secrets and settings of docker-compose.yaml. Keep it: the databases were made with these passwords.",
        "# Whoever reads it is administrator of everything.",
    ]
    for name, (default, why) in SETTINGS.items():
        lines += [*([f"# {why}"] if why else []), f"{name}={environ.get(name, default)}"]
    lines += ["", "# Generated."]
    for name, (make, why) in SECRETS.items():
        lines += [*([f"# {why}"] if why else []), f"{name}={make()}"]
    return "\n".join(lines) + "\n"


def write(path: Path, environ: Mapping[str, str]) -> None:
    """Writes a new .env with mode 0600; the file appears whole or not at all.

    `BadInput` where it exists, since it is never written over; `Misconfigured` where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(text(environ))
        # A link, unlike a move, does not replace a file that came into being meanwhile.
        os.link(temporary, path)
    except FileExistsError:
        raise BadInput(
            f"{path} exists, and its passwords are those that the databases were made with: "
            "keep it, or move it away first"
        ) from None
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written ({error.strerror}): name a file in a folder of yours") from error
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> dict[str, str]:
    """The variables of a .env file, without lines that are no `NAME=VALUE`; `Misconfigured` where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read ({error}): 'trackyard init-env' writes one") from error
    pairs = (line.split("=", 1) for line in map(str.strip, lines) if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    try:
        write(target, os.environ)
    except PipelineError as error:
        sys.exit(f"trackyard: {error}")
    sys.stdout.write(f"{target}: secrets and settings of 'docker compose up -d --wait' (mode 0600)\n")
