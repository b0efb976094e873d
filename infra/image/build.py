"""Builds the image: `make image`. Needs Python and an engine; works with BuildKit and without.

With BuildKit (`docker buildx`) a certificate authority and an index with a password are secrets of the build. The old
builder has no secrets: there the authority goes along as a file, and the index is a build argument, which only the
first stage sees, so that neither reaches the image. Effects: runs `docker`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "infra" / "image"
EXTRA_CA = FOLDER / "extra-ca.pem"
_SHM = ("--shm-size", "4g")
"""Memory for the first stage to install in; a gigabyte and a half of it is used, for a minute."""


def without_mounts(dockerfile: str) -> str:
    """The Dockerfile for a builder that knows no mounts.

    >>> without_mounts("RUN --mount=type=secret,id=ca sh x.sh")
    'RUN sh x.sh'
    """
    return re.sub(r" --mount=\S+", "", dockerfile)


def build_arguments(environ: Mapping[str, str], revision: str) -> dict[str, str]:
    """The build's arguments: the commit, and the base where `IMAGE_BASE` names another."""
    base = environ.get("IMAGE_BASE")
    return {"REVISION": revision, **({"BASE": base} if base else {})}


def labels(version: str, revision: str, committed_s: int) -> dict[str, str]:
    """The image's labels that change; the time is the commit's, so that building twice gives the same.

    Source: https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    created = datetime.fromtimestamp(committed_s, UTC).isoformat()
    values = {"version": version, "revision": revision, "created": created}
    return {f"org.opencontainers.image.{name}": value for name, value in values.items()}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def build(tag: str, environ: Mapping[str, str]) -> int:
    """Builds the image under a tag, with `IMAGE_BASE`, `PIP_INDEX_URL` and `IMAGE_CA` (a PEM file); the exit code."""
    revision = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or "unknown"
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    flags = _flags("--build-arg", build_arguments(environ, revision))
    flags += _flags("--label", labels(version, revision, int(_git("log", "-1", "--format=%ct") or 0)))
    index, authority = environ.get("PIP_INDEX_URL", ""), environ.get("IMAGE_CA", "")
    if _run(["docker", "buildx", "version"], capture_output=True) == 0:
        command = ["docker", "buildx", "build", "--load", "-f", str(FOLDER / "Dockerfile")]
        if index:
            command += ["--secret", "id=index_url,env=PIP_INDEX_URL"]
        if authority:
            command += ["--secret", f"id=ca,src={authority}"]
        return _run([*command, *_SHM, *flags, "-t", tag, str(ROOT)])
    if index:
        flags += ["--build-arg", f"PIP_INDEX_URL={index}"]
    if authority:
        shutil.copyfile(authority, EXTRA_CA)
    try:
        text = without_mounts((FOLDER / "Dockerfile").read_text())
        command = ["docker", "build", "-f", "-", *_SHM, *flags, "-t", tag, str(ROOT)]
        return _run(command, input=text, env={**environ, "DOCKER_BUILDKIT": "0"})
    finally:
        EXTRA_CA.unlink(missing_ok=True)


def _flags(option: str, values: Mapping[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in (option, f"{name}={value}")]


def _run(command: list[str], **options: Any) -> int:
    return subprocess.run(command, check=False, text=True, **options).returncode


if __name__ == "__main__":
    if shutil.which("docker") is None:
        sys.exit("trackyard: there is no 'docker' here: install an engine, https://docs.docker.com/engine/install/")
    sys.exit(build(sys.argv[1] if len(sys.argv) > 1 else "trackyard:latest", os.environ))
