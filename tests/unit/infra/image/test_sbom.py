"""The image's bill of materials."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from infra.image import sbom


def test_debian_packages_are_components() -> None:
    [component] = sbom.debian_components("libc6\t2.36-9\tamd64\n")

    assert component["purl"] == "pkg:deb/debian/libc6@2.36-9?arch=amd64"


def _program(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("is_debian", [True, False])
def test_the_bill_holds_the_environment_and_the_base_where_that_is_debian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_debian: bool
) -> None:
    bom = '{"components": [{"name": "flask"}], "asked": "\'"$*"\'"}'
    _program(tmp_path / "venv" / "cyclonedx-py", f"echo '{bom}'")
    if is_debian:
        _program(tmp_path / "bin" / "dpkg-query", "printf 'zlib1g\\t1:1.2.13\\tamd64\\nbash\\t5.2\\tarm64\\n'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))

    sbom.main("/its/python", str(tmp_path / "sbom.json"))

    found = json.loads((tmp_path / "sbom.json").read_text())
    assert found["asked"] == "environment --output-reproducible --spec-version 1.6 /its/python"
    assert found["components"][0] == {"name": "flask"}
    assert [(each["name"], each["version"]) for each in found["components"][1:]] == (
        [("zlib1g", "1:1.2.13"), ("bash", "5.2")] if is_debian else []
    )
