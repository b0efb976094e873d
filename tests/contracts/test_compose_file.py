"""docker-compose.yaml with each of its variants, resolved by the real Compose: nothing open, nothing literal."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.deploy import init_env
from infra.deploy.container import ROLES
from infra.deploy.probe import PROBES
from tests.support import ROOT
from tools import image_lock

BIN = Path(sys.executable).parent
OVERRIDES = ("seaweedfs", "external", "web-data", "images.lock")
JOBS = {"volume-job", "bucket-job", "database-job"}
ON_DEMAND = {"trackyard", "backup"}
EXTERNAL = {
    "AIRFLOW_DATABASE_URL": "postgresql+psycopg2://a:b@db.example.com/airflow",
    "MLFLOW_DATABASE_URL": "postgresql://a:b@db.example.com/mlflow",
    "MLFLOW_AUTH_DATABASE_URL": "postgresql://a:b@db.example.com/mlflow_auth",
    "CELERY_RESULTS_URL": "db+postgresql+psycopg2://a:b@db.example.com/celery_results",
    "REDIS_URL": "rediss://:b@redis.example.com:6379/0",
    "S3_MLFLOW_BUCKET": "team-models",
    "S3_WORKER_BUCKET": "team-data",
}


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("env") / ".env"
    init_env.write(path, {})
    return path


def resolve(env_file: Path, *overrides: str, **variables: str) -> dict[str, Any]:
    files = [word for name in overrides for word in ("-f", f"infra/compose/{name}.yaml")]
    command = [str(BIN / "docker-compose"), "--env-file", str(env_file), "-f", "docker-compose.yaml", *files]
    command += ["--profile", "tls", "--profile", "tools", "config", "--format", "json"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(env_file.parent), **EXTERNAL, **variables}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module", params=[(), *[(name,) for name in OVERRIDES]], ids=["base", *OVERRIDES])
def resolved(request: pytest.FixtureRequest, env_file: Path) -> dict[str, Any]:
    return resolve(env_file, *request.param)


def test_every_published_port_is_on_the_loopback_address(resolved: dict[str, Any]) -> None:
    published = [
        (service, port["host_ip"], port["published"])
        for service, content in resolved["services"].items()
        for port in content.get("ports", [])
    ]

    assert {address for _, address, _ in published} == {"127.0.0.1"}
    assert {(service, port) for service, _, port in published} == {
        ("airflow-api-server", "8080"),
        ("mlflow", "5000"),
        ("serving", "5555"),
        ("flower", "5556"),
        ("proxy", "8443"),
    }


def test_with_https_for_everybody_nothing_else_is_published_to_them(env_file: Path) -> None:
    services = resolve(env_file, TLS_BIND_ADDRESS="0.0.0.0", SERVING_TOKENS="all")["services"]
    published = {name: port["host_ip"] for name, each in services.items() for port in each.get("ports", [])}

    assert published.pop("proxy") == "0.0.0.0"
    assert set(published) == {"airflow-api-server", "mlflow", "serving", "flower"}
    assert set(published.values()) == {"127.0.0.1"}


def test_whoever_refuses_an_open_service_is_told_every_address(env_file: Path) -> None:
    services = resolve(env_file, BIND_ADDRESS="192.168.1.5", TLS_BIND_ADDRESS="0.0.0.0")["services"]

    for name in ("database-job", "serving"):
        assert services[name]["environment"]["TRACKYARD_BIND_ADDRESSES"] == "192.168.1.5 0.0.0.0", name
        assert services[name]["environment"]["TRACKYARD_SERVING_TOKENS"] == "none", name


@pytest.mark.parametrize(
    ("overrides", "buckets"), [((), "trackyard"), (("external",), "team-data,shared")], ids=["base", "external"]
)
def test_the_form_is_made_where_the_workers_buckets_are_known(
    env_file: Path, overrides: tuple[str, ...], buckets: str
) -> None:
    services = resolve(env_file, *overrides, S3_DATA_BUCKETS="team-data,shared")["services"]
    bucket = services["worker"]["environment"]["TRACKYARD_S3_BUCKET"]

    parsers = {name for name in services if name.startswith("airflow-")}
    assert "airflow-dag-processor" in parsers
    for name in (*parsers, "worker", "trackyard"):
        environment = services[name]["environment"]
        assert environment["TRACKYARD_S3_BUCKET"] == bucket, name
        assert environment["TRACKYARD_DATA_BUCKETS"] == buckets, name


def test_every_service_is_closed_up_and_has_limits(resolved: dict[str, Any]) -> None:
    for name, service in resolved["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert int(service["mem_limit"]) > 0, name
        assert float(service["cpus"]) > 0, name
        assert service["logging"]["options"]["max-size"], name
        assert not service.get("privileged"), name
        assert service.get("cap_add", []) == (["CHOWN"] if name == "volume-job" else []), name
        if name in JOBS | ON_DEMAND:
            assert service["restart"] == "no", name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name
            assert service["stop_grace_period"], name


def test_no_secret_is_written_down() -> None:
    for path in (ROOT / "docker-compose.yaml", *(ROOT / f"infra/compose/{name}.yaml" for name in OVERRIDES)):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.lstrip().startswith("#"):
                continue
            key, _, value = line.partition(":")
            if re.search(r"PASSWORD|SECRET|_KEY\b|FERNET|BASIC_AUTH|_CONN\b", key) and value.strip() not in ("", '""'):
                assert "${" in value, f"{path.name}:{number} holds a secret itself"


def test_secrets_have_no_default() -> None:
    text = (ROOT / "docker-compose.yaml").read_text()
    for name in init_env.SECRETS:
        used = re.findall(rf"\$\{{{name}(:[^}}]*|)\}}", text)
        assert used, f"{name} is written to .env and not used"
        assert all(way.startswith(":?") for way in used), f"{name} has a default"
    for name in init_env.SETTINGS:
        assert f"${{{name}:-" in text, f"{name} is written to .env and not used"


def test_a_missing_secret_is_named(env_file: Path, tmp_path: Path) -> None:
    short = tmp_path / ".env"
    short.write_text(re.sub(r"^REDIS_PASSWORD=.*$", "", env_file.read_text(), flags=re.MULTILINE))
    command = [str(BIN / "docker-compose"), "--env-file", str(short), "-f", "docker-compose.yaml", "config", "-q"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "REDIS_PASSWORD" in done.stderr
    assert "make env" in done.stderr


def test_the_older_compose_reads_the_same_files(env_file: Path) -> None:
    program = shutil.which("docker-compose", path="/usr/bin:/usr/local/bin")
    version = (
        subprocess.run([program, "version", "--short"], capture_output=True, text=True, check=False)
        if program
        else None
    )
    if program is None or version is None or not version.stdout.startswith("1."):
        pytest.skip("no Compose of the first generation is installed here")
    for override in ("", *OVERRIDES):
        files = ["-f", "docker-compose.yaml", *(["-f", f"infra/compose/{override}.yaml"] if override else [])]
        environ = {"PATH": os.environ["PATH"], "HOME": str(env_file.parent), **EXTERNAL}
        command = [program, "--env-file", str(env_file), *files, "config", "-q"]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{override}: {done.stderr}"


def test_roles_and_probes_that_the_file_names_exist(env_file: Path) -> None:
    for overrides in ((), ("external",)):
        for name, service in resolve(env_file, *overrides)["services"].items():
            if service["image"] == "trackyard:latest" and not service.get("entrypoint"):
                assert service["command"][0] in ROLES, name
            test = service.get("healthcheck", {}).get("test", [])
            if "infra.deploy.probe" in test:
                assert test[-1] in PROBES, name


def test_a_worker_stops_later_than_its_longest_task(env_file: Path) -> None:
    from infra.servers.airflow_server import fixed_env

    longest = int(fixed_env()["AIRFLOW__CORE__DEFAULT_TASK_EXECUTION_TIMEOUT"])
    told = resolve(env_file)["services"]["worker"]["stop_grace_period"]
    minutes, seconds = re.fullmatch(r"(\d+)m(\d+)s", told).groups()  # type: ignore[union-attr]

    assert int(minutes) * 60 + int(seconds) > longest


def test_only_published_parts_are_on_the_front_network(env_file: Path) -> None:
    found = resolve(env_file)
    front = {name for name, service in found["services"].items() if "front" in service.get("networks", {})}

    assert front == {"airflow-api-server", "mlflow", "serving", "flower", "proxy"}
    assert found["networks"]["back"]["internal"] is True
    assert found["networks"]["store"]["internal"] is True
    store = {name for name, service in found["services"].items() if "store" in service.get("networks", {})}
    assert store == {"s3", "bucket-job", "mlflow", "worker", "trackyard", "backup"}


def test_nobody_but_who_fetches_data_gets_a_way_out(env_file: Path) -> None:
    found = resolve(env_file, "web-data")
    out = {name for name, network in found["networks"].items() if not network.get("internal")}

    assert out == {"front", "outside"}
    assert {name for name, each in found["services"].items() if "outside" in each.get("networks", {})} == {
        "worker",
        "trackyard",
    }


def test_the_lock_names_every_image_of_the_file_by_digest() -> None:
    tags = image_lock.tags_of((ROOT / "docker-compose.yaml").read_text())
    locked = yaml.safe_load(image_lock.LOCK.read_text())["services"]

    assert set(locked) == set(tags) == {"postgres", "redis", "s3", "mail", "bucket-job", "proxy"}
    for service, name in tags.items():
        assert re.fullmatch(re.escape(name) + r"@sha256:[0-9a-f]{64}", locked[service]["image"]), service


def test_external_servers_replace_ours(env_file: Path) -> None:
    services = resolve(env_file, "external")["services"]

    for name in ("postgres", "redis", "s3"):
        assert services[name]["image"] == "trackyard:latest"
        assert services[name]["healthcheck"]["test"][-1] == f"external-{name}"
    environment = services["worker"]["environment"]
    assert environment["AIRFLOW__CELERY__BROKER_URL"] == EXTERNAL["REDIS_URL"]
    assert services["mlflow"]["environment"]["TRACKYARD_ARTIFACT_BUCKET"] == "team-models"


@pytest.mark.parametrize("override", ["", *OVERRIDES])
def test_the_linter_of_compose_files_finds_nothing(env_file: Path, tmp_path: Path, override: str) -> None:
    files = ["-f", "docker-compose.yaml", *(["-f", f"infra/compose/{override}.yaml"] if override else [])]
    command = [
        str(BIN / "docker-compose"),
        "--env-file",
        str(env_file),
        *files,
        "--profile",
        "tls",
        "--profile",
        "tools",
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **EXTERNAL}
    # Merged, with the variables as they stand: what an override leaves open is seen, and a secret's value is not there.
    merged = subprocess.run(
        [*command, "config", "--no-interpolate"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    (tmp_path / "compose.yaml").write_text(merged.stdout)
    lint = [str(BIN / "compose-lint"), "check", "--config", "infra/compose/lint.yaml", "--fail-on", "low", "--no-env"]
    done = subprocess.run(
        [*lint, str(tmp_path / "compose.yaml")], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_of_dockerfiles_finds_nothing() -> None:
    files = ["infra/image/Dockerfile", "tests/compose/standins/Dockerfile"]
    command = [str(BIN / "hadolint"), "--ignore", "DL3008", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_bucket_job_needs_nothing_but_mc_and_shows_it_no_secret(tmp_path: Path) -> None:
    told = tmp_path / "told"
    # Silo's image has a shell, mc, and little else.
    (tmp_path / "mc").write_text(
        f"""#!/bin/sh
printf '%s\n' "$*" >> {told}
case "$*" in
    "admin user add s3") read -r key; read -r secret; printf 'read %s %s\n' "$key" "$secret" >> {told} ;;
    "admin user info s3 MKEY") echo 'PolicyName: only-models' ;;
    "admin user info s3 WKEY") echo 'PolicyName: only-data' ;;
esac
"""
    )
    (tmp_path / "mc").chmod(0o755)
    script = (ROOT / "infra/compose/minio.sh").read_text().replace("/tmp/", f"{tmp_path}/")
    environ = {
        "PATH": str(tmp_path), "S3_ENDPOINT": "http://s3:9000", "S3_ROOT_KEY": "RKEY", "S3_ROOT_SECRET": "root-secret",
        "S3_MLFLOW_BUCKET": "models", "S3_MLFLOW_KEY": "MKEY", "S3_MLFLOW_SECRET": "mlflow-secret",
        "S3_WORKER_BUCKET": "data", "S3_WORKER_KEY": "WKEY", "S3_WORKER_SECRET": "worker-secret",
    }  # fmt: skip
    done = subprocess.run(["/bin/sh", "-c", script], env=environ, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    lines = told.read_text().splitlines()
    assert [line for line in lines if "secret" in line] == ["read MKEY mlflow-secret", "read WKEY worker-secret"]
    for bucket in ("models", "data"):
        actions = json.loads((tmp_path / f"{bucket}.json").read_text())["Statement"]
        resources = [resource for statement in actions for resource in statement["Resource"]]
        assert resources == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def test_shell_scripts_are_plain_and_parse() -> None:
    for path in (*(ROOT / "infra").rglob("*.sh"), *(ROOT / "tests/compose/standins").glob("*.sh")):
        subprocess.run(["sh", "-n", str(path)], check=True)
