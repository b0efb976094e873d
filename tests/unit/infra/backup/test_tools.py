"""PostgreSQL's programs: the version that fits a server, and no password where others can see it."""

from __future__ import annotations

import subprocess

import pytest

from infra.backup import tools
from ml.errors import Misconfigured


@pytest.mark.parametrize(("server", "program"), [(14, 16), (16, 16), (17, 18), (18, 18)])
def test_the_version_that_is_nearest_to_the_servers_is_taken(server: int, program: int) -> None:
    path = tools.find("pg_dump", server)

    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    found = int(said.split()[-1].split(".")[0])
    # A program on the PATH may fit better than those of the wheel.
    assert server <= found <= program


def test_a_server_newer_than_all_programs_is_refused() -> None:
    with pytest.raises(Misconfigured, match="postgresql-client-99"):
        tools.find("pg_dump", 99)


def test_the_password_goes_through_the_environment_alone() -> None:
    dbname, env = tools.connection("postgresql://me:hid%40den@db:5432/postgres?sslmode=require", "airflow")

    assert env["PGPASSWORD"] == "hid@den"
    assert "hid" not in dbname
    assert "dbname=airflow" in dbname
    assert "sslmode=require" in dbname


def test_the_reason_is_the_line_with_the_error() -> None:
    assert tools.reason("psql:1: NOTICE: x\npsql:2: ERROR:  no room\nCONTEXT: COPY\n") == "psql:2: ERROR:  no room"
    assert tools.reason("") == "it left no message"
