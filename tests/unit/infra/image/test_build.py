"""The image: how it is built where an engine can do less, what it holds, and what it says of itself."""

import importlib.util
import re
from types import ModuleType

from tests.support import ROOT


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "infra" / "image" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_old_builder_gets_the_same_file_without_mounts() -> None:
    text = (ROOT / "infra" / "image" / "Dockerfile").read_text()
    plain = _load("build").without_mounts(text)

    assert "--mount" in text
    assert "--mount" not in plain
    assert len(plain.splitlines()) == len(text.splitlines())


def test_the_base_is_an_argument() -> None:
    build = _load("build")

    assert build.build_arguments({"IMAGE_BASE": "mine:1"}, "abc")["BASE"] == "mine:1"
    assert "BASE" not in build.build_arguments({}, "abc")
    text = (ROOT / "infra" / "image" / "Dockerfile").read_text()
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}", "tools"}


def test_the_index_and_its_authority_are_no_part_of_the_last_stage() -> None:
    last = (ROOT / "infra" / "image" / "Dockerfile").read_text().split("FROM ${BASE}")[-1]

    assert "PIP_INDEX_URL" not in last
    assert "secret" not in last


def test_labels_say_what_it_was_built_from() -> None:
    found = _load("build").labels("0.1.0", "abc", 0)

    assert found["org.opencontainers.image.revision"] == "abc"
    assert found["org.opencontainers.image.created"] == "1970-01-01T00:00:00+00:00"
