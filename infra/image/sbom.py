"""Writes the image's software bill of materials: the Python environment's and the base's Debian packages.

Run in the image's build: `python sbom.py PYTHON OUTPUT`. CycloneDX 1.6, JSON. Effects: reads, and writes one file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

_FIELDS = "${Package}\t${Version}\t${Architecture}\n"


def debian_components(listing: str) -> list[dict[str, str]]:
    r"""The components of a `dpkg-query` listing: a line for each package, its name, version and architecture by tabs.

    >>> debian_components("zlib1g\t1:1.2.13\tamd64\n")[0]["purl"]
    'pkg:deb/debian/zlib1g@1:1.2.13?arch=amd64'
    """
    components = []
    for line in listing.splitlines():
        name, version, architecture = line.split("\t")
        purl = f"pkg:deb/debian/{name}@{version}?arch={architecture}"
        components.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
    return components


def main(python: str, output: str) -> None:
    """Writes the bill of materials of `python` and of the system that this runs on to `output`."""
    tool = Path(sys.executable).with_name("cyclonedx-py")
    command = [str(tool), "environment", "--output-reproducible", "--spec-version", "1.6", python]
    bom = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if shutil.which("dpkg-query"):
        query = subprocess.run(["dpkg-query", "-W", "-f", _FIELDS], capture_output=True, text=True, check=True)
        bom.setdefault("components", []).extend(debian_components(query.stdout))
    Path(output).write_text(json.dumps(bom, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
