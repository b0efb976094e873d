from __future__ import annotations

import base64
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from infra.deploy import init_env
from ml.errors import BadInput, Misconfigured
from tests.support import ROOT


def test_every_secret_is_written_and_none_is_like_another(tmp_path: Path) -> None:
    init_env.write(tmp_path / "a", {})
    init_env.write(tmp_path / "b", {})
    first, second = init_env.read(tmp_path / "a"), init_env.read(tmp_path / "b")

    secrets = [first[name] for name in init_env.SECRETS] + [second[name] for name in init_env.SECRETS]
    assert all(len(secret) >= 20 for secret in secrets)
    assert len(set(secrets)) == len(secrets)
    assert len(base64.urlsafe_b64decode(first["AIRFLOW_FERNET_KEY"])) == 32


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    init_env.write(tmp_path / ".env", {})

    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("mine")

    with pytest.raises(BadInput, match="exists"):
        init_env.write(tmp_path / ".env", {})
    assert (tmp_path / ".env").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_a_setting_can_differ_and_a_secret_never_comes_from_outside(tmp_path: Path) -> None:
    init_env.write(tmp_path / ".env", {"AIRFLOW_PORT": "18080", "REDIS_PASSWORD": "known"})
    found = init_env.read(tmp_path / ".env")

    assert found["AIRFLOW_PORT"] == "18080"
    assert found["REDIS_PASSWORD"] != "known"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written"):
        init_env.write(tmp_path / "nowhere" / ".env", {})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        init_env.read(tmp_path / ".env")


def test_quotes_and_comments_are_understood(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# a comment = this\nA='b'\n\nC=d=e\n")

    assert init_env.read(tmp_path / ".env") == {"A": "b", "C": "d=e"}


def test_make_env_writes_it(tmp_path: Path) -> None:
    command = ["make", "env", f"PYTHON={sys.executable}", f"ENV_FILE={tmp_path}/.env"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)

    assert set(init_env.SECRETS) <= set(init_env.read(tmp_path / ".env"))


def test_it_runs_without_any_package(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-m", "infra.deploy.init_env", str(tmp_path / ".env")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "docker compose up" in done.stdout
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert again.stderr.startswith("trackyard: ")
