from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ml.errors import Misconfigured, Unavailable
from tests.fakes import QuietHandler, answering
from tools import image_lock

DIGEST = "sha256:" + "0123456789abcdef" * 4


class Registry(QuietHandler):
    """A registry that wants a token, as Docker Hub does, and knows one image."""

    def do_HEAD(self) -> None:
        if self.headers.get("Authorization") != "Bearer let-me-in":
            self.send_response(401)
            realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="here",scope="repository:a/b:pull"')
        elif self.path == "/v2/a/b/manifests/1":
            self.send_response(200)
            self.send_header("Docker-Content-Digest", DIGEST)
        else:
            self.send_response(404)
        self.end_headers()

    def do_GET(self) -> None:
        body = b'{"token": "let-me-in"}' if "scope=repository" in self.path else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def registry() -> Iterator[str]:
    with answering(Registry) as url:
        yield url.removeprefix("http://")


def test_a_digest_is_looked_up_with_a_token(registry: str) -> None:
    with httpx.Client() as client:
        assert image_lock.digest_of(f"{registry}/a/b:1", client, "http") == DIGEST


def test_a_tag_that_is_not_there_is_named(registry: str) -> None:
    with httpx.Client() as client, pytest.raises(Unavailable, match="a/b:2"):
        image_lock.digest_of(f"{registry}/a/b:2", client, "http")


def test_the_lock_is_written_for_the_images_of_others(tmp_path: Path) -> None:
    compose = tmp_path / "compose.yaml"
    compose.write_text(
        "services:\n  a: {image: '${A_IMAGE:-a/b:1}'}\n  b: {image: '${TRACKYARD_IMAGE:-trackyard:latest}'}\n"
    )
    image_lock.refresh(compose, tmp_path / "lock.yaml", lambda name: DIGEST)

    assert f"  a:\n    image: a/b:1@{DIGEST}\n" in (tmp_path / "lock.yaml").read_text()
    assert "trackyard" not in (tmp_path / "lock.yaml").read_text()


def test_a_failed_look_up_leaves_the_lock_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  a: {image: '${A_IMAGE:-a/b:1}'}\n")
    (tmp_path / "lock.yaml").write_text("before")

    def fail(name: str) -> str:
        raise Unavailable(name)

    with pytest.raises(Unavailable):
        image_lock.refresh(tmp_path / "compose.yaml", tmp_path / "lock.yaml", fail)
    assert (tmp_path / "lock.yaml").read_text() == "before"


def test_a_file_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  a: {image: x}\n")

    with pytest.raises(Misconfigured, match="names no image"):
        image_lock.refresh(tmp_path / "compose.yaml", tmp_path / "lock.yaml", lambda name: DIGEST)
