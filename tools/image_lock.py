"""Looks up the digests of the images that docker-compose.yaml names by tag: `make image-lock`.

Writes `infra/compose/images.lock.yaml`. Effects: HTTP to the images' registries, and one file.
Source: the OCI distribution specification, https://github.com/opencontainers/distribution-spec (pull, token, HEAD).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import yaml

from infra.cli.output import write_file
from ml.errors import Misconfigured, PipelineError, Unavailable

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "infra" / "compose" / "images.lock.yaml"
_HEAD = """\
# The images of other people's by digest, to be named behind the base file: what runs is then what was looked at.
# `make image-lock` looks the tags up again and writes this file; a digest names all platforms of its tag.

services:
"""
_KINDS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)


def tags_of(compose: str) -> dict[str, str]:
    """The image of each service of a compose file that is not ours, as `NAME:TAG`, by service."""
    tags = {}
    for service, content in yaml.safe_load(compose)["services"].items():
        match = re.fullmatch(r"\$\{(\w+):-([^}]+)\}", str(content.get("image", "")))
        if match and match[1] != "TRACKYARD_IMAGE":
            tags[service] = match[2]
    return tags


def split_name(name: str) -> tuple[str, str, str]:
    """The registry, the repository and the tag of an image's name.

    >>> split_name("postgres:16")
    ('registry-1.docker.io', 'library/postgres', '16')
    >>> split_name("quay.io/minio/minio:x")
    ('quay.io', 'minio/minio', 'x')
    """
    path, _, tag = name.rpartition(":")
    first, _, rest = path.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return first, rest, tag
    return "registry-1.docker.io", path if rest else f"library/{path}", tag


def digest_of(name: str, client: httpx.Client, scheme: str = "https") -> str:
    """The digest that `NAME:TAG` has in its registry now: `sha256:...`, of all its platforms where there are several.

    Raises:
        Unavailable: The registry does not answer, or does not know the tag.
    """
    registry, repository, tag = split_name(name)
    url = f"{scheme}://{registry}/v2/{repository}/manifests/{tag}"
    headers = {"Accept": _KINDS}
    try:
        answer = client.head(url, headers=headers)
        if answer.status_code == 401:
            headers["Authorization"] = f"Bearer {_token(answer.headers.get('www-authenticate', ''), client)}"
            answer = client.head(url, headers=headers)
        answer.raise_for_status()
    except (httpx.HTTPError, KeyError, ValueError) as error:
        raise Unavailable(f"the digest of {name} could not be looked up ({error}): is {registry} reachable?") from error
    digest = str(answer.headers.get("docker-content-digest", ""))
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise Unavailable(f"{registry} told no digest of {name}: it answered {answer.status_code}")
    return digest


def _token(challenge: str, client: httpx.Client) -> str:
    parameters = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    answer = client.get(parameters.pop("realm"), params=parameters).raise_for_status().json()
    return str(answer.get("token") or answer["access_token"])


def refresh(compose: Path, lock: Path, digest: Callable[[str], str]) -> None:
    """Writes the lock file anew, with what `digest` tells of each `NAME:TAG`; if that fails, the old one stays.

    Raises:
        Misconfigured: The compose file names no image by tag.
    """
    tags = tags_of(compose.read_text(encoding="utf-8"))
    if not tags:
        raise Misconfigured(f"{compose} names no image by a variable and a tag")
    digests = {name: digest(name) for name in sorted(set(tags.values()))}
    images = [f"  {service}:\n    image: {name}@{digests[name]}\n" for service, name in tags.items()]
    write_file(lock, _HEAD + "".join(images))


def main() -> None:
    """Refreshes the lock file of this checkout."""
    with httpx.Client(timeout=30, follow_redirects=True) as client:
        refresh(ROOT / "docker-compose.yaml", LOCK, lambda name: digest_of(name, client))
    sys.stdout.write(f"{LOCK.relative_to(ROOT)} holds the digests of today\n")


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"trackyard: {error}")
