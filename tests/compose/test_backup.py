"""A backup of one deployment, restored into another with other secrets: the same champion, the same predictions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose import images
from tests.compose.conftest import Deployment, new_deployment
from tests.compose.test_deployment import predict, served_version
from tests.support import wait_for


@pytest.fixture
def elsewhere(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with secrets of its own, of which only the stores run."""
    found = new_deployment(tmp_path_factory.mktemp("elsewhere"))
    try:
        found.compose("up", "-d", "--no-build", "postgres", "s3")
        found.compose("run", "--rm", "-T", "bucket-job")
        found.compose("run", "--rm", "-T", "database-job")
        yield found
    finally:
        found.remove()


def test_a_backup_restored_elsewhere_serves_the_same(deployment: Deployment, elsewhere: Deployment) -> None:
    if served_version(deployment) is None:
        deployment.cli_json("run")
        wait_for(lambda: served_version(deployment) is not None, "a champion to be served", 90)
    versions, before = deployment.cli_json("models"), predict(deployment)

    done = deployment.tool("backup", "backup", "/backups/all.tar.gz", "--force")
    assert "all.tar.gz" in done.stdout
    copy = ("-v", f"{deployment.name}_backups:/from:ro", "-v", f"{elsewhere.name}_backups:/to")
    images.docker("run", "--rm", "--network", "none", *copy, "--entrypoint", "cp", images.OURS,
                  "/from/all.tar.gz", "/to/all.tar.gz")  # fmt: skip
    elsewhere.tool("backup", "restore", "/backups/all.tar.gz", "--force", "--yes", "--trust")
    elsewhere.up()

    assert elsewhere.cli_json("models") == versions
    wait_for(lambda: served_version(elsewhere) == served_version(deployment), "the champion to be served", 90)
    assert predict(elsewhere) == before
    # The accounts are those of the new .env, and the pipeline goes on where it was.
    again = elsewhere.cli_json("run")
    assert int(again["model"]["version"]) == max(int(version["version"]) for version in versions) + 1
