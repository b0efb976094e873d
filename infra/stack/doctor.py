"""Checks of the machine and of the stack, each with what to do about it. Effects: reads; S3 gets one probe object.

`trackyard doctor` calls it. A check never raises: whatever it runs into is what it found.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from infra.settings import DEFAULT_PORTS, Settings, port_setting
from infra.stack import ports
from ml.errors import PipelineError, one_line

if TYPE_CHECKING:
    from infra.stack.info import PartStatus

OK, NOTE, WRONG = "ok", "note", "wrong"
MAX_CLOCK_SKEW_S = 60.0


@dataclass(frozen=True)
class Check:
    """One finding: its state is `ok`, `note` (fine, but worth knowing) or `wrong`, with what to do about it."""

    name: str
    state: str
    found: str
    do: str = ""


def check_machine(settings: Settings, *, is_running: bool) -> list[Check]:
    """What the stack needs of this machine; one that runs has its ports and memory already."""
    checks = [
        python_version(sys.version_info[:2]),
        packages(settings.root / "requirements.lock", installed_version, is_checkout=settings.root == settings.folder),
        folder(settings),
        disk(settings, free_disk_mb(settings.home)),
        configuration(settings),
    ]
    if not is_running:
        checks.append(memory(settings, free_memory_mb()))
        checks.extend(free_ports(settings, ports.is_free, ports.owner))
    return checks


def python_version(version: tuple[int, ...]) -> Check:
    """Python 3.11 to 3.13."""
    text = ".".join(map(str, version))
    if (3, 11) <= version <= (3, 13):
        return Check("python", OK, text)
    return Check("python", WRONG, f"{text}, and 3.11 to 3.13 is needed", "install one and run 'make setup'")


def installed_version(package: str) -> str | None:
    """The version of an installed package, or None."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def packages(lock: Path, installed: Callable[[str], str | None], *, is_checkout: bool = True) -> Check:
    """The main packages, at the versions of the lock file; an installed wheel allows newer ones."""
    main = ("apache-airflow", "celery", "mlflow", "scikit-learn", "pandas", "skops", "flask", "flower", "typer")
    try:
        wanted = locked_versions(lock.read_text(encoding="utf-8"))
    except OSError as error:
        return Check("packages", WRONG, f"{lock} cannot be read ({error.strerror})", "restore it from git")
    other = [
        f"{name} {installed(name) or 'missing'} instead of {wanted[name]}"
        for name in main
        if name in wanted and installed(name) != wanted[name]
    ]
    if not other:
        return Check("packages", OK, "as in requirements.lock")
    if is_checkout:
        return Check("packages", WRONG, ", ".join(other), "run 'make setup'")
    do = f"nothing, or 'pip install -r {lock}' for the versions that were tested"
    return Check("packages", NOTE, ", ".join(other), do)


def locked_versions(text: str) -> dict[str, str]:
    """The versions of a lock file, by package.

    >>> locked_versions("mlflow[auth]==3.17.2 ; python_version > '3.10'")
    {'mlflow': '3.17.2'}
    """
    return dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.M))


def folder(settings: Settings) -> Check:
    """The stack's folder: ours to write, and its secrets closed to others."""
    home = settings.home
    nearest = _nearest(home)
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Check("folder", WRONG, f"{nearest} cannot be written", "set TRACKYARD_HOME to a folder of yours")
    if not home.exists():
        return Check("folder", OK, f"{home} (made by the first 'trackyard up')")
    secrets = settings.secrets_file
    if secrets.exists() and secrets.stat().st_mode & 0o077:
        return Check("folder", WRONG, f"{secrets} is open to other users", f"run 'chmod 600 {secrets}'")
    return Check("folder", OK, str(home))


def free_disk_mb(home: Path) -> int:
    """The free disk where a home is or will be, in MiB."""
    return shutil.disk_usage(_nearest(home)).free // 2**20


def _nearest(home: Path) -> Path:
    """The home, or where it is not there yet, the folder that it will be made in."""
    return next(parent for parent in (home, *home.parents) if parent.exists())


def disk(settings: Settings, free_mb: int) -> Check:
    """Enough disk for a start."""
    if free_mb < settings.min_disk_mb:
        found = f"{free_mb} MB free at {settings.home}, and {settings.min_disk_mb} MB are needed"
        return Check("disk", WRONG, found, "free some, or set TRACKYARD_HOME to a folder on another disk")
    return Check("disk", OK, f"{free_mb} MB free")


def free_memory_mb() -> int:
    """The free memory, in MiB."""
    return int(psutil.virtual_memory().available // 2**20)


def memory(settings: Settings, free_mb: int) -> Check:
    """Enough memory for a start."""
    if free_mb < settings.min_memory_mb:
        found = f"{free_mb} MB free, and {settings.min_memory_mb} MB are needed"
        return Check("memory", WRONG, found, "end other programs, or lower TRACKYARD_MIN_MEMORY_MB")
    return Check("memory", OK, f"{free_mb} MB free")


def configuration(settings: Settings) -> Check:
    """The pipeline file that gives the defaults."""
    from ml.config.loading import load_config

    path = settings.defaults_file
    if path is None:
        return Check(
            "pipeline file", NOTE, f"{settings.pipeline_file} does not exist; the built-in values count", "nothing"
        )
    try:
        load_config(path)
    except PipelineError as error:
        return Check("pipeline file", WRONG, str(error), "correct it, or write one with 'trackyard init'")
    return Check("pipeline file", OK, str(path))


def free_ports(settings: Settings, is_free: Callable[[int], bool], owner: Callable[[int], str]) -> Iterator[Check]:
    """Every port that the next start would use; a default gives way, a set one does not."""
    otherwise = {**DEFAULT_PORTS, **ports.remembered(settings)}
    for name in DEFAULT_PORTS:
        setting = port_setting(name)
        wanted = settings.ports.get(name)
        port = wanted or otherwise[name]
        if is_free(port):
            yield Check(f"port {name}", OK, f"{port} is free")
        elif wanted:
            yield Check(f"port {name}", WRONG, f"{port} is taken by {owner(port)}", f"stop it, or change {setting}")
        else:
            do = f"nothing: the next free port is used (or set {setting})"
            yield Check(f"port {name}", NOTE, f"{port} is taken by {owner(port)}", do)


def check_parts(statuses: Iterable[PartStatus]) -> list[Check]:
    """What each part said to a try of its real job: a query, an object put, got and deleted, a search, a heartbeat."""
    return [
        Check(part.name, OK, part.detail)
        if part.state == "ready"
        else Check(part.name, WRONG, f"{part.state}: {part.detail}", f"see 'trackyard logs {part.name}'")
        for part in statuses
    ]


def airflow_login(ask: Callable[[], Mapping[str, object]]) -> Check:
    """Whether Airflow lets us in and knows the DAG, which `ask` fetches as the administrator."""
    try:
        dag = ask()
    except PipelineError as error:
        return Check("airflow login", WRONG, str(error), "see 'trackyard logs airflow-api-server'")
    if dag.get("is_paused"):
        return Check("airflow login", NOTE, "works; the DAG is paused", "nothing: 'trackyard run' unpauses it")
    return Check("airflow login", OK, "works, and the DAG is there")


def clock(server_date: str | None, now: datetime) -> Check:
    """How far this clock is from a server's, by the `Date` of its answer: S3 refuses what is more than minutes off."""
    try:
        server = parsedate_to_datetime(server_date or "")
    except ValueError:
        return Check("clock", NOTE, "the server did not say its time", "nothing")
    skew = abs((now.astimezone(UTC) - server.astimezone(UTC)).total_seconds())
    if skew > MAX_CLOCK_SKEW_S:
        return Check("clock", WRONG, f"{skew:.0f} s away from the server's", "set this machine's clock (NTP)")
    return Check("clock", OK, f"{skew:.0f} s away from the server's")


def champions(ask: Callable[[], Mapping[str, Any]]) -> list[Check]:
    """Whether the service serves every champion; a version that it cannot load leaves an older one live, or none."""
    import httpx

    try:
        status = ask()
    except (httpx.HTTPError, ValueError) as error:
        # Whether it is up at all is another check's.
        why = one_line(error, limit=None)
        return [Check("champion", NOTE, f"the service did not tell what it serves ({why})", "ask again when it is up")]
    return [_champion(model) for model in [status.get("model") or {}, *(status.get("models") or [])]]


def _champion(model: Mapping[str, Any]) -> Check:
    name, champion, live = (model.get(key) for key in ("name", "champion", "version"))
    what = f"champion of {name}"
    if champion is None:
        return Check(what, NOTE, "no version is champion", "train one, or promote one with 'trackyard promote'")
    if champion != live:
        instead = f"version {live} answers instead" if live else "nothing answers"
        found = f"version {champion} is not served, and {instead}: {model.get('error') or 'it is being loaded'}"
        return Check(what, WRONG, found, "train it anew, or promote another version with 'trackyard promote'")
    return Check(what, OK, f"version {live} is served")
