"""The S3 server's options are the same on a machine and in a container."""

from __future__ import annotations

import re
from pathlib import Path

from infra.servers import object_store
from infra.settings import INTERNAL_PORTS
from tests.support import ROOT


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
