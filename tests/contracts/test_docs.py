"""What the documents say is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from infra.credentials import Credentials
from infra.servers import redis_server
from infra.settings import DEFAULT_PORTS, KNOWN, Settings
from infra.stack.parts import PART_NAMES
from ml.config import loading
from ml.evaluation.leakage import LEAK_AUC
from tests.support import ROOT


def _read(name: str) -> str:
    return (ROOT / name).read_text()


def test_every_setting_is_described() -> None:
    described = set(re.findall(r"^\| `(TRACKYARD_\w+)`", _read("docs/settings.md"), re.MULTILINE))

    assert described == set(KNOWN)


def test_every_setting_is_known_and_no_other_is_read() -> None:
    own = ROOT / "infra" / "settings.py"
    files = [path for folder in ("ml", "serving", "infra", "dags") for path in (ROOT / folder).rglob("*.py")]
    texts = [path.read_text() for path in [*files, ROOT / "docker-compose.yaml"] if path != own]
    read = {name for text in texts for name in re.findall(r"(?<![A-Z_])TRACKYARD_[A-Z0-9_]*[A-Z0-9]\b", text)}

    assert read <= KNOWN
    # What the embedded stack reads by a name that is put together.
    ports = {f"TRACKYARD_{name.upper()}_PORT" for name in DEFAULT_PORTS}
    assert KNOWN - read - ports <= set(re.findall(r'environ, "(TRACKYARD_\w+)"', own.read_text()))


def test_the_defaults_that_are_described_are_the_defaults() -> None:
    table = dict(re.findall(r"^\| `(TRACKYARD_\w+)` \| (\d+) \|", _read("docs/settings.md"), re.MULTILINE))
    settings = Settings.from_env({})

    expected = {f"TRACKYARD_{name.upper()}_PORT": str(port) for name, port in DEFAULT_PORTS.items()}
    for name in ("worker_slots", "min_memory_mb", "min_disk_mb", "start_timeout_s"):
        expected[f"TRACKYARD_{name.upper()}"] = str(getattr(settings, name))
    assert table == expected


def test_pipeline_yaml_holds_the_defaults() -> None:
    assert loading.load_config(ROOT / "pipeline.yaml") == loading.load_config(None)


def test_the_readme_leads_to_files_that_exist() -> None:
    for name in ("README.md", *[str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")]):
        for target in re.findall(r"\]\(([^)#:]+?)\)", _read(name)):
            assert ((ROOT / name).parent / target).exists(), f"{name} leads to {target}"


def test_the_readme_names_commands_and_targets_that_exist() -> None:
    readme = _read("README.md")
    makefile = _read("Makefile")
    from infra.cli.app import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    names |= {group.name for group in app.registered_groups}
    for command in set(re.findall(r"trackyard ([a-z]+)", readme)):
        assert command in names, f"trackyard {command}"
    for target in set(re.findall(r"^make ([a-z-]+)", readme, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_the_parts_are_in_the_documents() -> None:
    text = _read("README.md") + _read("docs/architecture.md") + _read("docs/cli.md")

    for name in PART_NAMES:
        word = name.removeprefix("airflow-").removeprefix("celery-")
        assert word.replace("postgres", "postgresql").replace("serving", "service") in text.lower()


def test_pictures_of_the_readme_are_real_files() -> None:
    for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", _read("README.md")):
        assert Path(ROOT / target).stat().st_size > 10_000


def test_the_documents_tell_the_threshold_of_a_leak() -> None:
    for name in ("docs/data.md", "docs/promotion.md"):
        assert re.findall(r"ROC AUC (?:above|at most) (\d\.\d+)", _read(name)) == [str(LEAK_AUC)], name


def test_the_readme_tells_the_ports() -> None:
    ports = set(re.findall(r"127\.0\.0\.1:(\d+)|\| (\d{4,5}) \|", _read("README.md")))
    assert {int(one or other) for one, other in ports} <= set(DEFAULT_PORTS.values())


def test_redis_is_configured_alike_in_a_container_and_without(tmp_path: Path) -> None:
    redis_server.create(tmp_path, 1, Credentials())
    own = dict(line.split(" ", 1) for line in (tmp_path / "redis.conf").read_text().splitlines())
    compose = yaml.safe_load(_read("docker-compose.yaml"))["services"]["redis"]["command"][-1]
    lines = re.search(r"printf '([^']*)'", compose)
    assert lines
    there = dict(line.split(" ", 1) for line in lines[1].split("\\n") if line)

    assert set(there) == {"requirepass", "dir", "appendonly", "appendfsync", "save", "maxmemory-policy"}
    for name in set(there) - {"requirepass", "dir"}:
        assert there[name] == own[name], name
