"""Ports: all different, and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.stack import ports
from ml.errors import Misconfigured
from tests.support import PORTS, settings_of


def test_two_parts_cannot_be_given_one_port(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, TRACKYARD_REDIS_PORT="4000", TRACKYARD_S3_PORT="4000")

    with pytest.raises(Misconfigured, match="TRACKYARD_S3_PORT is 4000"):
        ports.choose(settings, lambda text: None, free=lambda port: True)


def test_ports_are_all_different_and_remembered(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)

    chosen = ports.choose(settings, lambda text: None, free=lambda port: True)

    assert len(set(chosen.values())) == len(PORTS)
    assert ports.remembered(settings) == chosen
