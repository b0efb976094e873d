"""Backups of the real stack: restored elsewhere they give the same champion with the same predictions."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from cryptography.fernet import Fernet
from psycopg2.errors import DuplicateDatabase

from infra.backup import archive, databases, objects
from infra.backup.target import DATABASES, Target
from infra.servers import migrations, postgres
from infra.settings import Settings
from infra.stack import control
from ml.errors import PipelineError
from tests.integration.conftest import Trained
from tests.support import ROOT, RunningStack, Silent, clean_environ, free_ports, port_settings, wait_for

pytestmark = pytest.mark.further

TRACKYARD = str(Path(sys.executable).parent / "trackyard")
ROWS = [
    {
        "Daily Time Spent on Site": 35 + 0.6 * number,
        "Age": 20 + number % 40,
        "Area Income": 20_000.5 + 600 * number,
        "Daily Internet Usage": 105 + 1.6 * number,
        "Male": number % 2,
    }
    for number in range(90)
]


def _predictions(one: RunningStack) -> dict[str, Any]:
    answer = httpx.post(one.url("/predict"), json={"rows": ROWS}, timeout=30)
    answer.raise_for_status()
    return dict(answer.json())


@dataclass(frozen=True)
class Backup:
    """A file that `trackyard backup` made of the running stack; what its champion said then; and the id of a token."""

    file: Path
    champion: str
    predictions: dict[str, Any]
    token: str


@pytest.fixture(scope="module")
def backup(running: RunningStack, real_run: Trained, tmp_path_factory: pytest.TempPathFactory) -> Backup:
    champion = running.champion()
    assert champion
    wait_for(lambda: running.status()["model"]["version"] == champion, "the champion to be served")
    # Revoked, so that nobody who asks this stack needs one.
    token = running.cli("token", "create", "for the backup").stdout.split("_")[1]
    assert running.cli("token", "revoke", token).returncode == 0
    file = tmp_path_factory.mktemp("backup") / "stack.tar.gz"
    done = running.cli("backup", str(file))
    assert done.returncode == 0, done.stderr
    return Backup(file, champion, _predictions(running), token)


def _manifest(file: Path) -> dict[str, Any]:
    return dict(archive.check(file)[archive.MANIFEST])


def _settings(home: Path) -> Settings:
    return Settings.from_env(clean_environ(home, TRACKYARD_START_TIMEOUT_S="400", **port_settings()))


def _trackyard(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TRACKYARD, *arguments], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture
def second_home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a second stack, of which nothing is there yet."""
    environ = clean_environ(tmp_path / "second", TRACKYARD_START_TIMEOUT_S="400", **port_settings())
    yield environ
    control.down(Settings.from_env(environ), Silent())


@pytest.mark.timeout(1500)
def test_a_backup_restored_elsewhere_predicts_the_same_and_can_be_gone_back_to(
    running: RunningStack, backup: Backup, second_home: dict[str, str]
) -> None:
    unknown = _trackyard(second_home, "restore", str(backup.file))
    assert unknown.returncode == 2
    assert "--trust" in unknown.stderr
    assert not Path(second_home["TRACKYARD_HOME"]).exists()
    restored = _trackyard(second_home, "restore", str(backup.file), "--trust")
    assert restored.returncode == 0, restored.stderr
    settings = Settings.from_env(second_home)
    second = RunningStack(settings, control.up(settings, Silent()))

    # The servers of this process's variables are the first stack's, so the second is asked by its own command line.
    versions = second.cli_json("models")
    assert versions == running.cli_json("models")
    wait_for(lambda: second.status()["model"]["version"] == backup.champion, "the champion to be served")
    assert _predictions(second) == backup.predictions
    first_logins, logins = running.info.logins(), second.info.logins()
    assert logins["mlflow"]["password"] != first_logins["mlflow"]["password"]
    assert second.airflow.dag("Airflow_Lab2")["dag_id"] == "Airflow_Lab2"
    assert _mlflow_answers(logins["mlflow"]) == 200
    assert _mlflow_answers({**logins["mlflow"], "password": first_logins["mlflow"]["password"]}) == 401
    assert backup.token in [token["id"] for token in second.cli_json("token", "list")]

    # Then the champion is lost and an object is added, and the backup is gone back to, as after a bad upgrade.
    done = second.cli("data", "add", str(ROOT / "LICENSE"))
    assert done.returncode == 0, done.stderr
    internal_token = second.cli("token", "create", "made since").stdout.split("_")[1]
    with databases.connected(Target.of_plan(second.info.plan).database_url, "mlflow") as cursor:
        cursor.execute("DELETE FROM registered_model_aliases WHERE alias = 'champion'")
    damaged = second.cli_json("models")
    assert damaged != versions
    refused = _trackyard(second_home, "restore", str(backup.file), "--trust")
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert second.cli_json("models") == damaged

    back = _trackyard(second_home, "restore", str(backup.file), "--force", "--yes", "--trust")

    assert back.returncode == 0, back.stderr
    second.healthy(400)
    assert second.cli_json("models") == versions
    kept = objects.sizes(Target.of_plan(second.info.plan).s3, "trackyard")
    assert [key for key in kept if key.endswith("LICENSE")] == []
    assert {backup.token, internal_token} <= {token["id"] for token in second.cli_json("token", "list")}
    wait_for(lambda: second.status()["model"]["version"] == backup.champion, "the champion to be served")
    assert _predictions(second) == backup.predictions


def _mlflow_answers(login: dict[str, str]) -> int:
    url = f"{login['url']}/api/2.0/mlflow/experiments/search"
    answer = httpx.post(url, json={"max_results": 1}, auth=(login["username"], login["password"]), timeout=30)
    return answer.status_code


@dataclass(frozen=True)
class Elsewhere:
    """A PostgreSQL 16 and an S3 server of their own, as a deployment has them."""

    environ: dict[str, str]

    @property
    def target(self) -> Target:
        return Target.from_env(self.environ)

    def count(self, database: str, table: str) -> int:
        with databases.connected(self.target.database_url, database) as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            return int(cursor.fetchone()[0])

    def keys(self) -> dict[str, dict[str, int]]:
        return {bucket: objects.sizes(self.target.s3, bucket) for bucket in self.target.buckets.values()}

    def database_names(self) -> set[str]:
        with databases.connected(self.target.database_url) as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
            return {row[0] for row in cursor.fetchall()}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """The servers, which the tests share; each finds them empty."""
    tmp_path = tmp_path_factory.mktemp("elsewhere")
    settings = _settings(tmp_path / "stores")
    plan = control.up(settings, Silent(), ("s3",)).plan
    folder, port = tmp_path / "postgres16", free_ports(1)[0]
    password = "elsewhere"
    server = _postgres_16(folder, port, password)
    try:
        url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
        wait_for(lambda: databases.major_version(url) == 16, "PostgreSQL 16 to answer")
        _create_roles(url)
        yield Elsewhere(
            clean_environ(
                tmp_path / "unused",
                TRACKYARD_BACKUP_DATABASE_URL=url,
                TRACKYARD_S3_ENDPOINT=plan.url("s3"),
                AWS_ACCESS_KEY_ID=plan.credentials.s3_access_key,
                AWS_SECRET_ACCESS_KEY=plan.credentials.s3_secret_key,
                AWS_DEFAULT_REGION="us-east-1",
                AIRFLOW__CORE__FERNET_KEY=plan.credentials.airflow_fernet_key,
            )
        )
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
        control.down(settings, Silent())


@pytest.fixture
def elsewhere(servers: Elsewhere) -> Elsewhere:
    """The servers with the databases and buckets that a deployment makes, and nothing in them."""
    url, s3 = servers.target.database_url, servers.target.s3
    databases.drop(url, [name + end for name in DATABASES for end in ("", databases.NEW, databases.OLD)])
    with databases.connected(url) as cursor:
        for name in DATABASES:
            cursor.execute(f"CREATE DATABASE {name} OWNER {postgres.DATABASES[name]}")
    for bucket in servers.target.buckets.values():
        for key in objects.sizes(s3, bucket):
            s3.delete_object(Bucket=bucket, Key=key)
    return Elsewhere(dict(servers.environ))


def _postgres_16(folder: Path, port: int, password: str) -> subprocess.Popen[bytes]:
    wheel = postgres.wheel()
    assert wheel
    programs = wheel / "pginstall" / "bin"
    secret = folder.with_name("password")
    folder.mkdir(mode=0o700)
    secret.write_text(password)
    postgres.give_to_server_account(folder, secret)
    # The server's account must pass the folders of pytest, which are closed to it, as it passes those of a user.
    init = [
        str(programs / "initdb"),
        "-D",
        str(folder),
        "-U",
        "postgres",
        "--pwfile",
        str(secret),
        "--auth=scram-sha-256",
    ]
    subprocess.run(
        postgres.as_server_account([*init, "--encoding=UTF8", "--locale=C"]), check=True, capture_output=True
    )
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", "unix_socket_directories="]
    command = postgres.as_server_account([str(programs / "postgres"), "-D", str(folder), *options])
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _create_roles(url: str) -> None:
    with databases.connected(url) as cursor:
        for role in ("airflow", "mlflow"):
            cursor.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")


def test_a_backup_of_postgresql_18_goes_into_16_and_back_into_a_file(
    backup: Backup, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    restored = _trackyard(elsewhere.environ, "restore", str(backup.file), "--trust")

    assert restored.returncode == 0, restored.stderr
    assert f"version {backup.champion} is there" in restored.stdout
    again = tmp_path / "again.tar.gz"
    assert _trackyard(elsewhere.environ, "backup", str(again)).returncode == 0
    first, second = _manifest(backup.file), _manifest(again)
    for what in ("versions", "revisions", "counts"):
        assert second[what] == first[what]
    kept = [{key: entry[key] for key in ("role", "key", "sha256")} for entry in second["objects"]]
    assert kept == [{key: entry[key] for key in ("role", "key", "sha256")} for entry in first["objects"]]
    # A backup of 16 goes back into 16 as well, over what is there.
    assert _trackyard(elsewhere.environ, "restore", str(again), "--force", "--yes").returncode == 0
    assert elsewhere.database_names() == {"postgres", *DATABASES}
    with databases.connected(elsewhere.target.database_url, "mlflow") as cursor:
        cursor.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchall() == [("mlflow",)]


def test_what_airflow_encrypted_is_encrypted_anew_with_the_new_key(
    backup: Backup, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    assert _trackyard(elsewhere.environ, "restore", str(backup.file), "--trust").returncode == 0
    with databases.connected(elsewhere.target.database_url, "airflow") as cursor:
        hidden = Fernet(elsewhere.target.fernet_key).encrypt(b"hunter2").decode()
        cursor.execute("INSERT INTO variable (key, val, is_encrypted) VALUES ('hidden', %s, true)", (hidden,))
    closed = {**elsewhere.environ, "TRACKYARD_BACKUP_PASSPHRASE": "correct horse"}
    file, other = tmp_path / "closed.tar.gz", Fernet.generate_key()
    assert _trackyard(closed, "backup", str(file)).returncode == 0
    assert elsewhere.target.fernet_key.encode() not in gzip.decompress(file.read_bytes())
    elsewhere.environ["AIRFLOW__CORE__FERNET_KEY"] = closed["AIRFLOW__CORE__FERNET_KEY"] = other.decode()

    refused = _trackyard(elsewhere.environ, "restore", str(file), "--force", "--yes")
    restored = _trackyard(closed, "restore", str(file), "--force", "--yes")

    assert refused.returncode == 2
    assert "TRACKYARD_BACKUP_PASSPHRASE" in refused.stderr
    assert restored.returncode == 0, restored.stderr
    with databases.connected(elsewhere.target.database_url, "airflow") as cursor:
        cursor.execute("SELECT val FROM variable UNION ALL SELECT kwargs FROM trigger WHERE kwargs NOT LIKE '{%'")
        assert b"hunter2" in [Fernet(other).decrypt(row[0].encode()) for row in cursor.fetchall()]


def test_an_older_backup_is_migrated_and_a_newer_one_refused(
    backup: Backup, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    assert _trackyard(elsewhere.environ, "restore", str(backup.file), "--trust").returncode == 0
    schema = next(schema for schema in migrations.SCHEMAS if schema.name == "airflow")
    newest = migrations.head(schema)
    older = migrations.known_revisions(schema)[newest][0]
    _airflow_down_to(older, elsewhere.target.database_url, tmp_path)
    file = tmp_path / "older.tar.gz"
    assert _trackyard(elsewhere.environ, "backup", str(file)).returncode == 0
    assert _manifest(file)["revisions"]["airflow"] == older

    restored = _trackyard(elsewhere.environ, "restore", str(file), "--force", "--yes")

    assert restored.returncode == 0, restored.stderr
    assert "bringing database airflow up" in restored.stdout
    with databases.connected(elsewhere.target.database_url, "airflow") as cursor:
        assert migrations.revision_of(cursor.connection, schema) == newest
        cursor.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchall() == [("airflow",)]
        cursor.execute("UPDATE alembic_version SET version_num = 'fromthefuture'")
    newer = tmp_path / "newer.tar.gz"
    assert _trackyard(elsewhere.environ, "backup", str(newer)).returncode == 0
    refused = _trackyard(elsewhere.environ, "restore", str(newer), "--force", "--yes")
    assert refused.returncode == 2
    assert "newer than what is installed" in refused.stderr


def _airflow_down_to(revision: str, url: str, folder: Path) -> None:
    environ = clean_environ(
        folder,
        AIRFLOW_HOME=str(folder / "airflow"),
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=databases.owner_url(url, "airflow").replace("://", "+psycopg2://"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
    )
    command = [sys.executable, "-m", "airflow", "db", "downgrade", "--to-revision", revision, "--yes"]
    subprocess.run(command, env=environ, check=True, capture_output=True, timeout=300)


def test_an_older_mlflow_database_is_brought_up_once(elsewhere: Elsewhere) -> None:
    url = databases.owner_url(elsewhere.target.database_url, "mlflow")
    schema = next(schema for schema in migrations.SCHEMAS if schema.name == "mlflow")
    older = migrations.known_revisions(schema)[migrations.head(schema)][0]
    migrations.bring_up("mlflow", url)
    with databases.connected(url) as cursor:
        assert migrations.revision_of(cursor.connection, schema) is None
    make = (
        "import sys, sqlalchemy; from alembic import command; from mlflow.store.db import utils\n"
        "url = sys.argv[1].replace('://', '+psycopg2://', 1)\n"
        "engine = sqlalchemy.create_engine(url); utils.InitialBase.metadata.create_all(engine)\n"
        "config = utils._get_alembic_config(url)\n"
        "with engine.begin() as connection:\n"
        "    config.attributes['connection'] = connection; command.upgrade(config, sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", make, url, older], check=True, capture_output=True, timeout=300)

    migrations.bring_up("mlflow", url)

    with databases.connected(url) as cursor:
        assert migrations.revision_of(cursor.connection, schema) == migrations.head(schema)
        cursor.execute("UPDATE alembic_version SET version_num = 'fromthefuture'")
    with pytest.raises(PipelineError, match="restore a backup of before the upgrade"):
        migrations.bring_up("mlflow", url)


def test_a_restore_that_fails_or_is_killed_leaves_the_old_state(
    backup: Backup, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    assert _trackyard(elsewhere.environ, "restore", str(backup.file), "--trust").returncode == 0
    runs, keys = elsewhere.count("mlflow", "runs"), elsewhere.keys()
    broken = tmp_path / "broken.tar.gz"
    _with_broken_sql(backup.file, broken)
    elsewhere.target.s3.put_object(Bucket="trackyard", Key="datasets/newer", Body=b"since the backup")
    keys["trackyard"]["datasets/newer"] = 16

    changed = _trackyard(elsewhere.environ, "restore", str(broken), "--force", "--yes")
    assert changed.returncode == 2
    assert "--trust" in changed.stderr

    failed = _trackyard(elsewhere.environ, "restore", str(broken), "--force", "--yes", "--trust")

    assert failed.returncode == 1
    assert "could not be filled" in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
    assert (elsewhere.count("mlflow", "runs"), elsewhere.keys()) == (runs, keys)
    assert elsewhere.database_names() == {"postgres", *DATABASES}

    _kill_while_filling(elsewhere, backup.file)
    assert (elsewhere.count("mlflow", "runs"), elsewhere.keys()) == (runs, keys)

    # What it left is cleared away by the next one, which also takes away what the backup does not have.
    assert _trackyard(elsewhere.environ, "restore", str(backup.file), "--trust", "--force", "--yes").returncode == 0
    assert elsewhere.database_names() == {"postgres", *DATABASES}
    del keys["trackyard"]["datasets/newer"]
    assert elsewhere.keys() == keys


def _with_broken_sql(source: Path, target: Path) -> None:
    """The same backup with SQL in it that no server takes; its sums are right."""
    import io

    manifest = _manifest(source)
    with archive.new_file(target) as raw:
        writer = archive.ArchiveWriter(raw, {})
        for name, _, content in archive.members_of(source):
            whole = content.read()
            if name not in (archive.HEADER, archive.MANIFEST):
                whole = whole.replace(b"\nSET ", b"\nSELECT no_such_column;\nSET ", name == "databases/mlflow.sql")
                writer.add(name, io.BytesIO(whole))
        kept = {name: value for name, value in manifest.items() if name not in ("format", "members", "seals")}
        writer.finish(kept, lambda whole: {})


def _kill_while_filling(elsewhere: Elsewhere, file: Path) -> None:
    process = subprocess.Popen(
        [TRACKYARD, "restore", str(file), "--force", "--yes", "--trust"],
        env=elsewhere.environ, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: "airflow" + databases.NEW in elsewhere.database_names(), "a new database", 300)
    process.kill()
    process.wait()


def test_a_restore_waits_for_nobody_and_names_who_is_connected(backup: Backup, elsewhere: Elsewhere) -> None:
    url = elsewhere.target.database_url
    with closing(psycopg2.connect(url, dbname="mlflow")):
        refused = _trackyard(elsewhere.environ, "restore", str(backup.file), "--trust")

    assert refused.returncode == 2
    assert "in use (mlflow/postgres)" in refused.stderr
    assert elsewhere.keys() == {"trackyard": {}, "mlflow": {}}


def test_a_file_that_is_no_good_costs_one_line_and_makes_no_home(backup: Backup, tmp_path: Path) -> None:
    environ = clean_environ(tmp_path / "home")
    whole = backup.file.read_bytes()
    bad = tmp_path / "bad.tar.gz"
    for content, said in (
        (whole[: len(whole) // 2], "cut short"),
        (whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], "damaged"),
        (b"PK\x03\x04", "not a Trackyard backup"),
    ):
        bad.write_bytes(content)
        refused = _trackyard(environ, "restore", str(bad))

        assert refused.returncode == 2
        assert said in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        assert not (tmp_path / "home").exists()


def test_a_version_without_its_file_fails_the_backup(elsewhere: Elsewhere, backup: Backup, tmp_path: Path) -> None:
    assert _trackyard(elsewhere.environ, "restore", str(backup.file), "--trust").returncode == 0
    champion = next(one for one in _manifest(backup.file)["versions"] if one["is_champion"])
    elsewhere.target.s3.delete_object(Bucket="mlflow", Key=champion["key"])

    failed = _trackyard(elsewhere.environ, "backup", str(tmp_path / "new.tar.gz"))

    assert failed.returncode == 1
    assert f"version {champion['version']}" in failed.stderr
    assert "is not in the bucket" in failed.stderr
    assert [path.name for path in tmp_path.iterdir() if "new" in path.name] == []


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk takes root")
def test_a_full_disk_ends_a_backup_with_one_line(running: RunningStack, real_run: Trained, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        done = running.cli("backup", str(disk / "stack.tar.gz"))
        left = list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert left == []


def test_databases_are_exchanged_all_or_none(elsewhere: Elsewhere) -> None:
    url = elsewhere.target.database_url
    databases.create_beside(url, "airflow")

    with pytest.raises(PipelineError, match="nothing was changed"):
        databases.swap(url, ("airflow", "mlflow"))

    assert elsewhere.database_names() == {"postgres", *DATABASES, "airflow" + databases.NEW}
    with pytest.raises(DuplicateDatabase):
        databases.create_beside(url, "airflow")
