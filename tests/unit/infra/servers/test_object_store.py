"""The S3 server's options are the same on a machine and in a container."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from infra.credentials import Credentials
from infra.servers import object_store
from infra.settings import INTERNAL_PORTS
from tests.support import PORTS, ROOT


def test_the_container_has_the_same_options() -> None:
    ports = dict.fromkeys(("s3", *INTERNAL_PORTS), 1)
    command = object_store.command(Path("/s3"), ports, Path("/run"))
    embedded = dict(word.lstrip("-").split("=", 1) for word in command if "=" in word)
    script = (ROOT / "infra" / "compose" / "seaweedfs.sh").read_text()
    container = dict(re.findall(r" -([a-zA-Z3.]+)=(\S+)", script))

    both = {name for name in embedded if name.startswith(("s3.allow", "s3.auto", "volume.", "master."))}
    both = {name for name in both if ".port" not in name}
    assert {name: container.get(name) for name in both} == {name: embedded[name] for name in both}
    assert both >= {"s3.allowDeleteBucketNotEmpty", "volume.max", "volume.minFreeSpace", "master.volumeSizeLimitMB"}


def test_the_object_store_closes_every_port(tmp_path: Path) -> None:
    object_store.create(tmp_path, Credentials())

    rules = (tmp_path / "config" / "security.toml").read_text()
    command = object_store.command(tmp_path, PORTS, tmp_path)

    for role in ("master", "volume", "filer", "s3"):
        assert f"[grpc.{role}]" in rules
    assert "-disableHttp=true" in command
    assert "-master.telemetry=false" in command
    assert stat.S_IMODE((tmp_path / "config" / "key.pem").stat().st_mode) == 0o600
